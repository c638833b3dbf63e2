import Clinical

/// What codes mean, as far as the sources agree (phdc.md 12, 13). A code that isn't here is kept as a number.
enum PhdcNomenclature {
    struct Metric: Sendable {
        var kind: Reading.Kind
        var name: String

        init(_ kind: Reading.Kind, _ name: String) {
            self.kind = kind
            self.name = name
        }
    }

    static func metric(_ code: PhdcCode) -> Metric? {
        switch code.partition {
        case PhdcCode.scada: vitals[code.code]
        case PhdcCode.phd: device[code.code].map { Metric(code.code == 21982 ? .pulseRate : .other, $0) }
        default: nil
        }
    }

    /// For notes: `body mass`, or nothing but the number.
    static func name(_ code: PhdcCode) -> String {
        if let metric = metric(code) { return metric.name }
        if let lead = lead(code) { return "ECG \(lead.name)" }
        if code == plethysmogram { return "plethysmogram" }
        // Two published code sets collide above this (phdc.md 13.5): the number is shown, never a meaning.
        if code.partition == PhdcCode.phd, 22300...22599 ~= code.code { return "SABTE metric \(code.code)" }
        return "unknown metric"
    }

    static let plethysmogram = PhdcCode(PhdcCode.scada, 0x4BB4)
    /// What a glucose meter is tested with; meters keep its results beside the patient's (phdc.md 10.3).
    static let controlSolution = PhdcCode(PhdcCode.scada, 0x71D0)

    /// Why a value is not of whoever was measured; nil for all others.
    /// - Parameter status: MeasurementStatus (phdc.md 7.3).
    static func foreign(_ code: PhdcCode?, status: UInt16) -> String? {
        if code == controlSolution { return "a control solution" }
        return (4...5).first { status & 0x8000 >> $0 != 0 }.flatMap { measurementStatus[$0] }
    }

    /// Partition 2 (phdc.md 13.3, 13.4). Glucose by its sample: ISO/IEEE 11073-10417, as antidote's and OpenHealth's lists have it.
    private static let vitals: [UInt16: Metric] = [
        0x481A: Metric(.pulseRate, "pulse rate"), 0x482A: Metric(.pulseRate, "pulse rate (cuff)"),
        0x4182: Metric(.pulseRate, "heart rate (ECG)"), 0x4A04: Metric(.other, "non-invasive blood pressure"),
        0x4A05: Metric(.systolic, "systolic pressure"), 0x4A06: Metric(.diastolic, "diastolic pressure"),
        0x4A07: Metric(.meanArterial, "mean pressure"), 0x4BB8: Metric(.spo2, "SpO2"),
        0x4BB0: Metric(.perfusionIndex, "perfusion"), 0x4B30: Metric(.other, "SpO2 quality"),
        0x4B5C: Metric(.temperature, "body temperature"), 0x4B78: Metric(.temperature, "tympanic temperature"),
        0xE004: Metric(.temperature, "rectal temperature"), 0xE008: Metric(.temperature, "oral temperature"),
        0xE00C: Metric(.temperature, "ear temperature"), 0xE010: Metric(.temperature, "finger temperature"),
        0xE020: Metric(.temperature, "toe temperature"), 0xE024: Metric(.temperature, "axillary temperature"),
        0xE028: Metric(.temperature, "gastro-intestinal temperature"), 0xE140: Metric(.weight, "body mass"),
        0xE144: Metric(.height, "body height"), 0xE14C: Metric(.other, "body fat"),
        0xE150: Metric(.bmi, "body mass index"), 0x7114: Metric(.glucose, "glucose"),
        0x71B8: Metric(.glucose, "glucose"), 0x71BC: Metric(.glucose, "glucose, capillary plasma"),
        0x71C0: Metric(.glucose, "glucose, venous whole blood"), 0x71C4: Metric(.glucose, "glucose, venous plasma"),
        0x71C8: Metric(.glucose, "glucose, arterial whole blood"),
        0x71CC: Metric(.glucose, "glucose, arterial plasma"), 0x71D4: Metric(.glucose, "glucose, interstitial fluid"),
        controlSolution.code: Metric(.other, "glucose of a control solution"), 0x71DC: Metric(.other, "HbA1c"),
        0x3F28: Metric(.other, "R-R interval"), 0x3F20: Metric(.other, "QT interval"),
        0x3F24: Metric(.other, "QTc interval"), 0x500A: Metric(.other, "respiration rate"),
        0x50D4: Metric(.other, "airway flow"), 0x5397: Metric(.other, "airway pressure P95"),
        0x4C4C: Metric(.other, "oximeter status"), 0x4C4D: Metric(.other, "pulsatile characteristic"),
        0xD002: Metric(.other, "trigger"),
    ]

    /// Partition 128 (phdc.md 13.5), up to where both published lists agree; a glucose meter's context as in 11073-10417.
    private static let device: [UInt16: String] = [
        20000: "device status", 21976: "ECG device status", 21977: "ECG context", 21982: "heart rate (instantaneous)",
        22000: "blood pressure measurement status", 22100: "flow generator time", 22104: "usage time",
        22108: "usage with humidifier", 22112: "usage without humidifier", 22116: "snoring time",
        22120: "Cheyne-Stokes time", 22136: "ramp time setting", 22140: "total flow", 22144: "flow without purge",
        22148: "respiratory flow", 22180: "AHI", 22184: "AHI total", 22188: "AHI unclassified",
        22192: "AHI obstructive", 22196: "AHI central", 22220: "humidifier stage", 22224: "humidifier temperature",
        22228: "humidifier humidity", 22232: "trigger sensitivity level", 22234: "inspiratory rise level",
        22240: "adaptation level", 22260: "adapt-freeze setting", 22264: "autostart/stop", 22268: "device mode",
        22280: "therapy mode", 29152: "exercise", 29236: "place of the sample", 29256: "meal",
    ]

    /// Values of enumerations (phdc.md 12.1, 12.5, 13.3, 13.5).
    static func value(_ code: UInt16, of metric: PhdcCode) -> String? {
        metric.partition == PhdcCode.phd ? deviceValues[code] : vitalValues[code]
    }

    private static let deviceValues: [UInt16: String] = [
        21978: "user", 21979: "periodic", 21980: "detected", 21981: "external", 22261: "off", 22262: "on",
        22269: "undetermined", 22270: "standby", 22271: "therapy", 22272: "mask fitting", 22273: "drying",
        22274: "exporting", 22281: "undetermined", 22282: "CPAP", 22283: "CPAP-auto", 22284: "BPAP-S",
        22285: "BPAP-T", 22286: "BPAP-ST", 22287: "S-auto", 22288: "T-auto", 22289: "ST-auto", 22290: "ACSV",
        29240: "finger", 29244: "alternative site", 29248: "earlobe", 29252: "control solution",
        29260: "before a meal", 29264: "after a meal", 29268: "fasting", 29272: "casual",
    ]

    private static let vitalValues: [UInt16: String] = [
        0x4012: "sinus rhythm", 0x40E8: "tachycardia", 0x4108: "atrial fibrillation", 0x4210: "SV bradycardia",
        0xD003: "beat", 0xD00B: "beat, maximum inrush",
    ]

    /// Names of the bits of a status, from the most significant (phdc.md 12).
    static func bits(of metric: PhdcCode) -> [Int: String] {
        switch (metric.partition, metric.code) {
        case (PhdcCode.scada, 0x4C4C): oximeterStatus
        case (PhdcCode.scada, 0x4C4D): [0: "nominal", 1: "marginal", 2: "minimal", 3: "unacceptable"]
        case (PhdcCode.phd, 21976): ecgStatus
        case (PhdcCode.phd, 22000): pressureStatus
        case (PhdcCode.phd, 20000): deviceStatus
        default: [:]
        }
    }

    private static let oximeterStatus = [
        0: "sensor disconnected", 1: "sensor malfunction", 2: "sensor displaced", 3: "sensor unsupported",
        4: "sensor off", 5: "interference", 6: "searching", 7: "pulse questionable", 8: "non-pulsatile", 9: "erratic",
        10: "low perfusion", 11: "poor signal", 12: "inadequate signal", 13: "processing irregularity",
        14: "equipment malfunction", 15: "extended display update",
    ]

    private static let ecgStatus = [
        0: "lead wire off", 1: "lead signal lost", 2: "first lead wire off", 3: "first lead signal lost",
        4: "second lead wire off", 5: "second lead signal lost", 6: "third lead wire off",
        7: "third lead signal lost",
    ]

    private static let pressureStatus = [
        0: "movement", 1: "cuff too loose", 2: "irregular pulse", 3: "pulse over range", 4: "pulse under range",
        5: "improper position",
    ]

    private static let deviceStatus = [
        0: "undetermined", 1: "reset", 5: "error", 6: "mechanical error", 7: "electronic error", 8: "software error",
        9: "battery error", 15: "service required", 16: "time synchronisation needed", 17: "calibration needed",
        18: "replenishment needed", 25: "battery low", 26: "battery depleted", 27: "battery replaced",
        28: "interrupted",
    ]

    /// MeasurementStatus (phdc.md 7.3).
    static let measurementStatus = [
        0: "invalid", 1: "questionable", 2: "not available", 3: "calibration ongoing", 4: "test data", 5: "demo data",
        8: "validated", 9: "early indication", 10: "measurement ongoing",
    ]

    /// A Supplemental-Type, as a flag of a reading.
    static func modality(_ code: PhdcCode) -> String {
        switch (code.partition, code.code) {
        case (PhdcCode.scada, 0x4C34): "fast"
        case (PhdcCode.scada, 0x4C38): "slow"
        case (PhdcCode.scada, 0x4C3C): "spot"
        default: "supplemental \(code)"
        }
    }

    /// The lead of an ECG waveform: 0x0100 plus its number (phdc.md 13.3).
    static func lead(_ code: PhdcCode) -> (signal: Channel.Signal, name: String)? {
        guard code.partition == PhdcCode.scada else { return nil }
        return switch code.code {
        case 0x0100: (.other, "ECG")
        case 0x0101: (.ecgI, "I")
        case 0x0102: (.ecgII, "II")
        case 0x0103: (.ecgV1, "V1")
        case 0x0104: (.ecgV2, "V2")
        case 0x0105: (.ecgV3, "V3")
        case 0x0106: (.ecgV4, "V4")
        case 0x0107: (.ecgV5, "V5")
        case 0x0108: (.ecgV6, "V6")
        case 0x013D: (.ecgIII, "III")
        case 0x013E: (.ecgAVR, "aVR")
        case 0x013F: (.ecgAVL, "aVL")
        case 0x0140: (.ecgAVF, "aVF")
        default: nil
        }
    }

    /// UCUM; a code without a known unit becomes an annotation, which UCUM takes for 1.
    static func unit(_ code: UInt16?) -> String {
        guard let code else { return "{unknown}" }
        return units[code] ?? "{MDC 4:\(code)}"
    }

    /// Partition 4 (phdc.md 13.6).
    private static let units: [UInt16: String] = [
        0x0200: "1", 0x0220: "%", 0x0440: "{beat}", 0x0500: "m", 0x0511: "cm", 0x0560: "[in_i]", 0x0640: "L",
        0x0652: "mL", 0x06C0: "g", 0x06C3: "kg", 0x06D2: "mg", 0x06E0: "[lb_av]", 0x07A0: "kg/m2", 0x0852: "mg/dL",
        0x0880: "s", 0x0892: "ms", 0x0893: "us", 0x08A0: "min", 0x08C0: "h", 0x08E0: "d", 0x0AA0: "/min",
        0x0AE0: "/min", 0x0B20: "L/min/m2", 0x0C00: "L/min", 0x0F02: "hPa", 0x0F03: "kPa", 0x0F20: "mm[Hg]",
        0x0F40: "cm[H2O]", 0x10A0: "V", 0x10B2: "mV", 0x10B3: "uV", 0x1140: "[degF]", 0x1272: "mmol/L",
        0x127C: "/h", 0x17A0: "Cel", 0x1AC0: "{tick}",
    ]

    /// What a device is, of its specialisation (phdc.md 13.2); for a device that names no model.
    static func specialisation(_ code: UInt16) -> String? {
        switch code {
        case 0x1004: "pulse oximeter"
        case 0x1006: "basic ECG"
        case 0x1007: "blood pressure monitor"
        case 0x1008: "thermometer"
        case 0x100F: "weighing scale"
        case 0x1011: "glucose meter"
        case 0x1018: "sleep apnoea breathing therapy equipment"
        default: nil
        }
    }
}
