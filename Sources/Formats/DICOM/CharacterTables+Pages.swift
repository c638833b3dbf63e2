// Made by Tests/Scripts/character_tables.py. Do not edit.

extension CharacterTables {
    /// ISO-IR 101, bytes A0 to FF.
    static let latin2 = scalars(
        """
        \u{A0}Ą˘Ł¤ĽŚ§\
        ¨ŠŞŤŹ\u{FFFD}ŽŻ\
        °ą˛ł´ľśˇ\
        ¸šşťź˝žż\
        ŔÁÂĂÄĹĆÇ\
        ČÉĘËĚÍÎĎ\
        ĐŃŇÓÔŐÖ×\
        ŘŮÚŰÜÝŢß\
        ŕáâăäĺćç\
        čéęëěíîď\
        đńňóôőö÷\
        řůúűüýţ˙
        """)

    /// ISO-IR 109, bytes A0 to FF.
    static let latin3 = scalars(
        """
        \u{A0}Ħ˘£¤\u{FFFD}Ĥ§\
        ¨İŞĞĴ\u{FFFD}\u{FFFD}Ż\
        °ħ²³´µĥ·\
        ¸ışğĵ½\u{FFFD}ż\
        ÀÁÂ\u{FFFD}ÄĊĈÇ\
        ÈÉÊËÌÍÎÏ\
        \u{FFFD}ÑÒÓÔĠÖ×\
        ĜÙÚÛÜŬŜß\
        àáâ\u{FFFD}äċĉç\
        èéêëìíîï\
        \u{FFFD}ñòóôġö÷\
        ĝùúûüŭŝ˙
        """)

    /// ISO-IR 110, bytes A0 to FF.
    static let latin4 = scalars(
        """
        \u{A0}ĄĸŖ¤ĨĻ§\
        ¨ŠĒĢŦ\u{FFFD}Ž¯\
        °ą˛ŗ´ĩļˇ\
        ¸šēģŧŊžŋ\
        ĀÁÂÃÄÅÆĮ\
        ČÉĘËĖÍÎĪ\
        ĐŅŌĶÔÕÖ×\
        ØŲÚÛÜŨŪß\
        āáâãäåæį\
        čéęëėíîī\
        đņōķôõö÷\
        øųúûüũū˙
        """)

    /// ISO-IR 144, bytes A0 to FF.
    static let cyrillic = scalars(
        """
        \u{A0}ЁЂЃЄЅІЇ\
        ЈЉЊЋЌ\u{FFFD}ЎЏ\
        АБВГДЕЖЗ\
        ИЙКЛМНОП\
        РСТУФХЦЧ\
        ШЩЪЫЬЭЮЯ\
        абвгдежз\
        ийклмноп\
        рстуфхцч\
        шщъыьэюя\
        \u{2116}ёђѓєѕії\
        јљњћќ§ўџ
        """)

    /// ISO-IR 127, bytes A0 to FF.
    static let arabic = scalars(
        """
        \u{A0}\u{FFFD}\u{FFFD}\u{FFFD}¤\u{FFFD}\u{FFFD}\u{FFFD}\
        \u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{60C}\u{FFFD}\u{FFFD}\u{FFFD}\
        \u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\
        \u{FFFD}\u{FFFD}\u{FFFD}\u{61B}\u{FFFD}\u{FFFD}\u{FFFD}\u{61F}\
        \u{FFFD}\u{621}\u{622}\u{623}\u{624}\u{625}\u{626}\u{627}\
        \u{628}\u{629}\u{62A}\u{62B}\u{62C}\u{62D}\u{62E}\u{62F}\
        \u{630}\u{631}\u{632}\u{633}\u{634}\u{635}\u{636}\u{637}\
        \u{638}\u{639}\u{63A}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\
        \u{640}\u{641}\u{642}\u{643}\u{644}\u{645}\u{646}\u{647}\
        \u{648}\u{649}\u{64A}\u{64B}\u{64C}\u{64D}\u{64E}\u{64F}\
        \u{650}\u{651}\u{652}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\
        \u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}
        """)

    /// ISO-IR 126, bytes A0 to FF.
    static let greek = scalars(
        """
        \u{A0}\u{2018}\u{2019}£\u{20AC}\u{20AF}¦§\
        ¨©ͺ«¬\u{FFFD}\u{FFFD}\u{2015}\
        °±²³΄΅Ά·\
        ΈΉΊ»Ό½ΎΏ\
        ΐΑΒΓΔΕΖΗ\
        ΘΙΚΛΜΝΞΟ\
        ΠΡ\u{FFFD}ΣΤΥΦΧ\
        ΨΩΪΫάέήί\
        ΰαβγδεζη\
        θικλμνξο\
        πρςστυφχ\
        ψωϊϋόύώ\u{FFFD}
        """)

    /// ISO-IR 138, bytes A0 to FF.
    static let hebrew = scalars(
        """
        \u{A0}\u{FFFD}¢£¤¥¦§\
        ¨©×«¬\u{FFFD}®¯\
        °±²³´µ¶·\
        ¸¹÷»¼½¾\u{FFFD}\
        \u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\
        \u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\
        \u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\
        \u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{2017}\
        \u{5D0}\u{5D1}\u{5D2}\u{5D3}\u{5D4}\u{5D5}\u{5D6}\u{5D7}\
        \u{5D8}\u{5D9}\u{5DA}\u{5DB}\u{5DC}\u{5DD}\u{5DE}\u{5DF}\
        \u{5E0}\u{5E1}\u{5E2}\u{5E3}\u{5E4}\u{5E5}\u{5E6}\u{5E7}\
        \u{5E8}\u{5E9}\u{5EA}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}
        """)

    /// ISO-IR 148, bytes A0 to FF.
    static let turkish = scalars(
        """
        \u{A0}¡¢£¤¥¦§\
        ¨©ª«¬\u{FFFD}®¯\
        °±²³´µ¶·\
        ¸¹º»¼½¾¿\
        ÀÁÂÃÄÅÆÇ\
        ÈÉÊËÌÍÎÏ\
        ĞÑÒÓÔÕÖ×\
        ØÙÚÛÜİŞß\
        àáâãäåæç\
        èéêëìíîï\
        ğñòóôõö÷\
        øùúûüışÿ
        """)

    /// ISO-IR 166, bytes A0 to FF.
    static let thai = scalars(
        """
        \u{FFFD}\u{E01}\u{E02}\u{E03}\u{E04}\u{E05}\u{E06}\u{E07}\
        \u{E08}\u{E09}\u{E0A}\u{E0B}\u{E0C}\u{E0D}\u{E0E}\u{E0F}\
        \u{E10}\u{E11}\u{E12}\u{E13}\u{E14}\u{E15}\u{E16}\u{E17}\
        \u{E18}\u{E19}\u{E1A}\u{E1B}\u{E1C}\u{E1D}\u{E1E}\u{E1F}\
        \u{E20}\u{E21}\u{E22}\u{E23}\u{E24}\u{E25}\u{E26}\u{E27}\
        \u{E28}\u{E29}\u{E2A}\u{E2B}\u{E2C}\u{E2D}\u{E2E}\u{E2F}\
        \u{E30}\u{E31}\u{E32}\u{E33}\u{E34}\u{E35}\u{E36}\u{E37}\
        \u{E38}\u{E39}\u{E3A}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{E3F}\
        \u{E40}\u{E41}\u{E42}\u{E43}\u{E44}\u{E45}\u{E46}\u{E47}\
        \u{E48}\u{E49}\u{E4A}\u{E4B}\u{E4C}\u{E4D}\u{E4E}\u{E4F}\
        \u{E50}\u{E51}\u{E52}\u{E53}\u{E54}\u{E55}\u{E56}\u{E57}\
        \u{E58}\u{E59}\u{E5A}\u{E5B}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}
        """)

    /// ISO-IR 203, bytes A0 to FF.
    static let latin9 = scalars(
        """
        \u{A0}¡¢£\u{20AC}¥Š§\
        š©ª«¬\u{FFFD}®¯\
        °±²³Žµ¶·\
        ž¹º»ŒœŸ¿\
        ÀÁÂÃÄÅÆÇ\
        ÈÉÊËÌÍÎÏ\
        ÐÑÒÓÔÕÖ×\
        ØÙÚÛÜÝÞß\
        àáâãäåæç\
        èéêëìíîï\
        ðñòóôõö÷\
        øùúûüýþÿ
        """)
}
