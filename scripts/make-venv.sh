#!/usr/bin/env bash
# make-venv.sh DIRECTORY REQUIREMENTS: installs into a virtual environment with Python 3.11 or newer, and makes it first,
# unless a working one is there; one that an earlier call was killed in may hold half of a package.
# PYTHON=python3.12 chooses another interpreter than the first that fits.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

venv=$1
requirements=$2
unfinished=$venv/.unfinished
candidates=${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}

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

if [ -e "$unfinished" ] || ! recent "$venv/bin/python" pip; then
    find_python venv ensurepip >/dev/null || install_python
    python=$(find_python venv ensurepip) ||
        give_up "Python 3.11 or newer is needed, with its venv module. If it is somewhere else:  make PYTHON=/path/to/python3"
    "$python" -m venv --clear "$venv"
fi
touch "$unfinished"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check -r "$requirements"
rm "$unfinished"
