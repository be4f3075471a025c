#!/usr/bin/env bash
# install-test-tools.sh browser|node|nginx|php: installs what the tests need beside Python packages. `browser` is a browser of
# each engine with its driver, and an emoji font; INCOMING_TEST_ENGINES="chromium,webkit" does without Firefox, say.
# `node` is Node with npm; `nginx` is that, and no service of it is started. `php` is PHP's command. Where it is there this does nothing, and
# needs neither root nor a network.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
NGINX_UNIT=/etc/systemd/system/nginx.service
WITHOUT_IT="Or run the tests without it: INCOMING_TEST_ENGINES names the engines to test (chromium,firefox,webkit)."

runs() { # runs PROGRAM...: does one of them really run? Ubuntu has stubs that only say what to install.
    local program
    for program in "$@"; do
        if command -v "$program" >/dev/null && "$program" --version >/dev/null 2>&1; then
            return
        fi
    done
    return 1
}

has_chromium() {
    runs chromium chromium-browser google-chrome google-chrome-stable && runs chromedriver
}

has_firefox() { # its driver comes with the Python packages
    runs firefox-esr firefox
}

has_webkit() { # its browser is in a folder of the library, and it needs a screen and a desktop's settings
    command -v WebKitWebDriver >/dev/null && command -v Xvfb >/dev/null && command -v xsettingsd >/dev/null &&
        [ -n "$(find /usr/lib /usr/lib64 /usr/libexec -path '*webkit2gtk-4*/MiniBrowser' -print -quit 2>/dev/null)" ]
}

has_emoji_font() {
    [ -n "$(find /usr/share/fonts /usr/local/share/fonts ~/.fonts ~/.local/share/fonts \
        -iname '*emoji*' -print -quit 2>/dev/null)" ]
}

is_ubuntu() {
    [ -r /etc/os-release ] && grep -qx 'ID=ubuntu' /etc/os-release
}

only_a_snap() { # only_a_snap PACKAGE WHERE...
    local package=$1
    shift
    give_up "Ubuntu's package $package is only a pointer to a snap, which does not run here. Please install" \
        "$*, in the PATH. $WITHOUT_IT"
}

install_chromium() {
    local what="Chromium with its driver"
    if is_ubuntu; then
        install_packages "$what" chromium-browser chromium-chromedriver
        has_chromium || only_a_snap chromium-browser "Google Chrome and the chromedriver of the same version (both" \
            "are at https://googlechromelabs.github.io/chrome-for-testing/)"
    else
        install_packages "$what" chromium chromium-driver
        has_chromium || give_up "Chromium and chromedriver are installed, but one of them does not run. $WITHOUT_IT"
    fi
}

install_firefox() {
    if is_ubuntu; then
        install_packages "Firefox" firefox
        has_firefox || only_a_snap firefox "Firefox from https://www.firefox.com/"
    else
        install_packages "Firefox" firefox-esr
        has_firefox || give_up "Firefox is installed, but it does not run. $WITHOUT_IT"
    fi
}

install_webkit() {
    install_packages "WebKit with its driver, and a screen for it" webkit2gtk-driver xvfb xsettingsd
    has_webkit || give_up "WebKit's driver is installed, but its MiniBrowser is nowhere to be found. $WITHOUT_IT"
}

has_nginx() {
    command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] # which is in root's PATH only
}

install_nginx() { # its package starts a web server on port 80, now and at each boot, unless the unit is masked
    if command -v apt-get >/dev/null && [ -d "${NGINX_UNIT%/*}" ] && ! [ -e "$NGINX_UNIT" ]; then
        as_root ln -s /dev/null "$NGINX_UNIT" && trap unmask_nginx EXIT
    fi
    install_packages "nginx, to test the server behind it" nginx
}

unmask_nginx() {
    as_root rm -f "$NGINX_UNIT"
    [ ! -d /run/systemd/system ] || as_root systemctl daemon-reload
}

runs_openssl() {
    openssl version >/dev/null 2>&1
}

install_engines() { # install_engines ENGINE...
    local engine
    for engine in "$@"; do
        case $engine in
        chromium | firefox | webkit) "has_$engine" || "install_$engine" ;;
        *) give_up "INCOMING_TEST_ENGINES: there is no engine '$engine', only chromium, firefox and webkit" ;;
        esac
    done
}

case ${1:-} in
browser)
    engines=${INCOMING_TEST_ENGINES:-chromium,firefox,webkit}
    # shellcheck disable=SC2086  # a list with commas or spaces
    install_engines ${engines//,/ }
    has_emoji_font || install_packages "A font with emoji, for file names" fonts-noto-color-emoji
    ;;
node)
    runs node || install_packages "Node" nodejs
    runs npm || install_packages "npm" npm
    node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' ||
        give_up "Node 18 or newer is needed; this is $(node --version). Newer ones are at https://nodejs.org/."
    ;;
nginx)
    has_nginx || install_nginx
    runs_openssl || install_packages "openssl, for the certificates of tests" openssl
    ;;
php)
    runs php || install_packages "PHP, to run the app of its how-to page" php-cli
    ;;
*)
    give_up "usage: install-test-tools.sh browser|node|nginx|php"
    ;;
esac
