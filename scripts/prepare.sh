# Sourced by the other scripts: makes .venv and installs what is missing. Safe to repeat.
# Works on Debian 12 and 13 and Raspberry Pi OS, as root or with sudo.

say() { printf '==> %s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

on_a_pi() { grep -qs 'Raspberry Pi' /proc/device-tree/model; }

# Install those Debian packages that are not there yet; asks for nothing when all are.
need_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    say "installing Debian packages: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "run this as root, or install sudo; needed: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Find a Python from 3.11 on; Debian's own where the one on the PATH is too old.
find_python() {
    local candidate
    for candidate in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    die "Python 3.11 or later is needed; Debian 12, 13 and Raspberry Pi OS from Bookworm on have it"
}

# prepare_venv EXTRAS: .venv with the project in it, reinstalled only when pyproject.toml changed.
prepare_venv() {
    local extras=$1 python flags=() stamp
    command -v python3 >/dev/null || need_packages python3
    python=$(find_python)
    if on_a_pi; then
        need_packages python3-picamera2 python3-lgpio
        python=/usr/bin/python3
        flags=(--system-site-packages) # picamera2 comes from apt alone, lgpio has no wheel for Python 3.13
        extras="$extras,pi"
    fi
    if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
        "$python" -c 'import ensurepip, venv' 2>/dev/null || need_packages python3-venv
        say "making .venv with $("$python" --version)"
        "$python" -m venv --clear "${flags[@]}" .venv
    fi
    stamp="$(.venv/bin/python --version) [$extras] $(cat pyproject.toml packaging/wheels.txt | sha256sum | cut -c1-16)"
    if [ "$(cat .venv/installed-for 2>/dev/null)" != "$stamp" ]; then
        say "installing edge-daemon[$extras] into .venv"
        # The libraries that the Debian package brings, in its versions; all others as new as may be.
        sed -n 's/^\([a-z0-9-]*==[^ ]*\).*/\1/p' packaging/wheels.txt >.venv/constraints.txt
        .venv/bin/python -m pip install --quiet --disable-pip-version-check \
            --constraint .venv/constraints.txt --editable ".[$extras]"
        echo "$stamp" >.venv/installed-for
    fi
    say "ready: $PWD/.venv"
}
