# Sourced by the other scripts: installs packages of the system, or says what is missing.

give_up() { # give_up SENTENCE...
    printf '\n%s\n' "$*" >&2
    exit 1
}

as_root() { # as_root COMMAND...: runs it as root; asks for a password only where there is somebody to ask
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        sudo "$@"
    else
        return 1
    fi
}

apt_install() { # apt_install PACKAGE...
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

install_packages() { # install_packages WHAT PACKAGE...: returns only when they are installed
    local what=$1
    shift
    command -v apt-get >/dev/null ||
        give_up "$what is missing. This system has no apt-get; please install it in this system's own way."
    as_root true || give_up "$what is missing. Please run:  sudo apt-get install $*"
    echo "$what is missing: installing $*"
    # Old or missing package lists are the usual reason for a failure. They are fetched only after one.
    apt_install "$@" 2>/dev/null || { as_root apt-get update -qq >/dev/null && apt_install "$@"; } ||
        give_up "$what could not be installed. Please look at:  apt-get install $*"
}
