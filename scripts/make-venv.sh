#!/usr/bin/env bash
# make-venv.sh DIRECTORY REQUIREMENTS: makes a virtual environment with Python 3.11 or newer, and installs the requirements
# into it. A working environment is kept. One in which an earlier call was killed is made again: it may hold half of a package.
# PYTHON=python3.12 chooses the interpreter. The default is the first one that is new enough.
#
# What an installer says is shown only if it fails. With a warm cache, most of its time is to read the index of each package. For
# requirements.txt that is 25 s of CPU with pip 23.0, 6 s with pip 23.2, and 3 s with pip 26. So an old pip gets a new one first. uv
# takes half a second, and is used if it is there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

venv=$1
requirements=$2
unfinished=$venv/.unfinished
new_pip=pip==26.3
candidates=${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

recent() { # recent PYTHON MODULE...: is it new enough, and does it have these modules?
    local python=$1
    shift
    "$python" -c "import sys $(printf ', %s' "$@"); sys.exit(sys.version_info < (3, 11))" 2>/dev/null
}

find_python() { # find_python MODULE...: prints the first candidate that has them
    local candidate
    for candidate in $candidates; do
        if recent "$candidate" "$@"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

install_python() { # Debian and Ubuntu keep venv's pip in a package of its own
    local found
    if found=$(find_python venv); then
        install_packages "The venv module of Python" \
            "$("$found" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    else
        command -v python3 >/dev/null || install_packages "Python 3.11 or newer" python3 python3-venv
        recent python3 venv || install_packages "Python 3.11 or newer" python3.11 python3.11-venv
    fi
}

bundled_pip() { # bundled_pip PYTHON: prints the wheel of pip that comes with it, if it is where this knows
    "$1" - <<'END'
import ensurepip, pathlib, sysconfig
folder = sysconfig.get_config_var("WHEEL_PKG_DIR") or pathlib.Path(ensurepip.__file__).parent / "_bundled"
print(*sorted(pathlib.Path(folder).glob("pip-*.whl"))[-1:])
END
}

make_environment() { # make_environment PYTHON: makes it, with pip
    local wheel
    wheel=$(bundled_pip "$1")
    if [ -z "$wheel" ]; then
        "$1" -m venv --clear "$venv"
        return
    fi
    # A wheel of Python alone is installed by unpacking it. venv would have pip install pip, which takes 4 s of CPU.
    "$1" -m venv --clear --without-pip "$venv"
    "$venv/bin/python" -m zipfile -e "$wheel" "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    printf '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n' >"$venv/bin/pip"
    chmod +x "$venv/bin/pip"
}

renew_pip() { # if it is old; where the index has no new one, the old one stays
    "$venv/bin/python" -c 'import sys, pip; sys.exit(int(pip.__version__.split(".")[0]) >= 25)' || return 0
    "$venv/bin/python" -m pip install --no-compile --disable-pip-version-check "$new_pip" >/dev/null 2>&1 || true
}

pip_is_configured() { # whether somebody has told pip where packages come from, which uv would not know
    local folder
    env | grep -E '^PIP_(INDEX_URL|EXTRA_INDEX_URL|NO_INDEX|FIND_LINKS|CONSTRAINT|CONFIG_FILE|CERT|PROXY)=' >/dev/null && return 0  # not -q: env would be killed
    for folder in /etc "$HOME/.pip" "${XDG_CONFIG_HOME:-$HOME/.config}/pip" "${XDG_CONFIG_DIRS:-/etc/xdg}/pip"; do
        [ ! -e "$folder/pip.conf" ] || return 0
    done
    return 1
}

install_with_uv() {
    uv pip install --python "$venv/bin/python" -r "$requirements" 2>&1 | tee "$log" | sed -un 's/^ + \([^ ]*\).*/  \1/p'
}

install_with_pip() {
    renew_pip
    # Python compiles what it imports. To compile all of it now would take half of the time, and most of it is never imported.
    "$venv/bin/python" -m pip install --no-compile --disable-pip-version-check -r "$requirements" 2>&1 | tee "$log" |
        sed -un -e 's/^Collecting \([^ <>=!~;]*\(==[^ ;,]*\)\{0,1\}\).*/  \1/p' \
            -e 's|^Processing .*/\([^-/]*\)-\([^-/]*\)-[^/]*whl.*|  \1==\2|p' -e 's/^Installing collected packages.*/  unpacking .../p'
}

if [ -e "$unfinished" ] || ! recent "$venv/bin/python" pip; then
    find_python venv ensurepip >/dev/null || install_python
    python=$(find_python venv ensurepip) ||
        give_up "Python 3.11 or newer is needed, with its venv module. If it is somewhere else:  make PYTHON=/path/to/python3"
    make_environment "$python"
fi
touch "$unfinished"
echo "Installing the packages of $requirements into $venv:"
if ! command -v uv >/dev/null || pip_is_configured || ! install_with_uv; then
    install_with_pip || { cat "$log" >&2 && give_up "The packages of $requirements could not be installed: see above."; }
fi
echo "Installed $(du -sm "$venv" | cut -f1) MB after $SECONDS s."
rm "$unfinished"
