#!/usr/bin/env bash
# install-test-tools.sh browser|node: installs what the tests need beside Python packages. `browser` is Chromium with
# its driver and an emoji font, `node` is Node with npm. Where it is there this does nothing, and needs neither root
# nor a network.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

runs() { # runs PROGRAM...: does one of them really run? Ubuntu has stubs that only say what to install.
    local program
    for program in "$@"; do
        if command -v "$program" >/dev/null && "$program" --version >/dev/null 2>&1; then
            return
        fi
    done
    return 1
}

has_browser() {
    runs chromium chromium-browser google-chrome google-chrome-stable && runs chromedriver
}

has_emoji_font() {
    [ -n "$(find /usr/share/fonts /usr/local/share/fonts ~/.fonts ~/.local/share/fonts \
        -iname '*emoji*' -print -quit 2>/dev/null)" ]
}

is_ubuntu() {
    [ -r /etc/os-release ] && grep -qx 'ID=ubuntu' /etc/os-release
}

install_browser() {
    if is_ubuntu; then
        install_packages "A browser for the tests (Chromium and its driver)" chromium-browser chromium-chromedriver
        has_browser || give_up "Ubuntu's package chromium-browser is only a pointer to a snap, which does not run" \
            "here. Please install Google Chrome and the chromedriver of the same version (both are at" \
            "https://googlechromelabs.github.io/chrome-for-testing/), both in the PATH."
    else
        install_packages "A browser for the tests (Chromium and its driver)" chromium chromium-driver
        has_browser || give_up "Chromium and chromedriver are installed, but one of them does not run."
    fi
}

case ${1:-} in
browser)
    has_browser || install_browser
    has_emoji_font || install_packages "A font with emoji, for file names" fonts-noto-color-emoji
    ;;
node)
    runs node || install_packages "Node" nodejs
    runs npm || install_packages "npm" npm
    node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' ||
        give_up "Node 18 or newer is needed; this is $(node --version). Newer ones are at https://nodejs.org/."
    ;;
*)
    give_up "usage: install-test-tools.sh browser|node"
    ;;
esac
