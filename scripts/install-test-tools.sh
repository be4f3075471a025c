#!/usr/bin/env bash
# install-test-tools.sh browser|node|nginx|haproxy|apache|php|redis|radosgw|prometheus|logrotate: installs what the tests need beside Python packages. `browser` is a
# browser of each engine with its driver, and an emoji font. INCOMING_TEST_ENGINES="chromium,webkit" leaves out Firefox, for example.
# `node` is Node with npm, and `php` is PHP's command. `apache` has mod_security, too. `nginx`, `haproxy`, `apache`, `redis` and `radosgw` are
# installed without starting a service. If a tool is there already, the script does nothing, and needs neither root nor a network.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
UNITS=/etc/systemd/system
POLICY=/usr/sbin/policy-rc.d
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

has() { # has PROGRAM...: is one of them there? /usr/sbin is in root's PATH only
    local program
    for program in "$@"; do
        if command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ]; then
            return
        fi
    done
    return 1
}

has_apache() {
    has apache2 httpd && [ -n "$(find /usr/lib/apache2/modules /usr/lib64/httpd/modules /usr/lib/httpd/modules \
        -name 'mod_security*.so' -print -quit 2>/dev/null)" ]
}

install_without_service() { # install_without_service UNIT WHAT PACKAGE...
    # The package starts its service, now and at each boot. systemd does not if the unit is masked, others if a policy says so.
    local mask=$UNITS/$1
    shift
    BARRED=()
    trap allow_services EXIT
    if command -v apt-get >/dev/null && [ -d "$UNITS" ] && ! [ -e "$mask" ]; then
        as_root ln -s /dev/null "$mask" && BARRED+=("$mask")
    fi
    if command -v apt-get >/dev/null && ! [ -e "$POLICY" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root install -m 755 /dev/stdin "$POLICY" && BARRED+=("$POLICY")
    fi
    install_packages "$@"
}

allow_services() {
    [ "${#BARRED[@]}" = 0 ] && return
    as_root rm -f "${BARRED[@]}"
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
    has nginx || install_without_service nginx.service "nginx, to test the server behind it" nginx
    runs_openssl || install_packages "openssl, for the certificates of tests" openssl
    ;;
haproxy)
    has haproxy || install_without_service haproxy.service "HAProxy, to test the server behind it" haproxy
    runs_openssl || install_packages "openssl, for the certificates of tests" openssl
    ;;
apache) # these packages have the program and its modules, and no service
    has_apache || install_packages "Apache, to test the server behind it" apache2-bin libapache2-mod-security2
    runs_openssl || install_packages "openssl, for the certificates of tests" openssl
    ;;
php)
    runs php || install_packages "PHP, to run the app of its how-to page" php-cli
    ;;
redis)
    runs redis-server ||
        install_without_service redis-server.service "Redis, for the tests with several servers" redis-server
    ;;
radosgw) # with the cluster that it needs; the only service of these packages reports crashes
    (runs radosgw && runs ceph && runs ceph-mon && runs ceph-osd) ||
        install_without_service ceph-crash.service "Ceph, a second S3 server" radosgw ceph-common ceph-mon ceph-osd
    ;;
prometheus) # with promtool
    runs prometheus || install_without_service prometheus.service "Prometheus, to try the alerts" prometheus
    ;;
logrotate)
    has logrotate || install_packages "logrotate, to try its file" logrotate
    ;;
*)
    give_up "usage: install-test-tools.sh browser|node|nginx|haproxy|apache|php|redis|radosgw|prometheus|logrotate"
    ;;
esac
