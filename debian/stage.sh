#!/usr/bin/env bash
# Puts what was built, and what the programs say about themselves (manual pages, completions), below one directory.
# usage: stage.sh BINARIES STAGED [with-runtime]
set -euo pipefail
binaries=$1 staged=$2 runtime=${3:-}
cd "$(dirname "$0")/.."
install -d "$staged"/{bin,share/man/man1,share/bash-completion/completions,share/zsh/vendor-completions,share/fish/vendor_completions.d}
for program in ess-agent ess-server ess-sim; do
    if [[ $runtime ]]; then
        # $ORIGIN is the programs' first place for libraries.
        install -D -m 755 "$binaries/$program" "$staged/lib/$program/$program"
        ln -sf "../lib/$program/$program" "$staged/bin/$program"
        ldd "$binaries/$program" | awk '$3 ~ /\/usr\/lib\/swift\// { print $3 }' \
            | xargs -r install -m 644 -t "$staged/lib/$program"
    else
        install -m 755 "$binaries/$program" "$staged/bin/$program"
        # SwiftPM looks for libraries beside the program; there are none, and nobody shall put one there.
        chrpath -d "$staged/bin/$program" >/dev/null
    fi
    "$binaries/$program" --experimental-dump-help | python3 debian/man_page.py "debian/$program.1.in" \
        >"$staged/share/man/man1/$program.1"
    "$binaries/$program" --generate-completion-script bash | sed '1{/^#!/d}' >"$staged/share/bash-completion/completions/$program"
    "$binaries/$program" --generate-completion-script zsh >"$staged/share/zsh/vendor-completions/_$program"
    "$binaries/$program" --generate-completion-script fish >"$staged/share/fish/vendor_completions.d/$program.fish"
done
install -D -m 644 Sources/Web/assets/icon.svg "$staged/share/icons/hicolor/scalable/apps/ess-agent.svg"
