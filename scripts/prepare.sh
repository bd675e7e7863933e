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

# sees_system_packages VENV: the environment imports what apt has installed, too.
sees_system_packages() { grep -q '^include-system-site-packages = true' "$1/pyvenv.cfg"; }

# install_into VENV REQUIREMENT…: in the versions of packaging/constraints.txt, and what the system brings stays as
# it is. Names each file that is downloaded.
install_into() {
    local venv=$1 constraints=packaging/constraints.txt
    shift
    local pip=("$venv/bin/python" -I -u -m pip --disable-pip-version-check install)
    if sees_system_packages "$venv"; then
        PIP_CONSTRAINT=$constraints "${pip[@]}" --quiet --dry-run --ignore-installed \
            --report "$venv/report.json" "$@" || die "pip finds no way to install $*; see above"
        "$venv/bin/python" -I scripts/hold_system_packages.py "$venv/report.json" "$constraints" >"$venv/held.txt"
        constraints=$venv/held.txt
    fi
    # By the environment, so that they count for what builds the project, too; a later pip has a name of its own for those.
    PIP_CONSTRAINT=$constraints PIP_BUILD_CONSTRAINT=$constraints "${pip[@]}" --progress-bar off "$@" |
        sed -u -n 's|^ *Downloading \([^ ]*/\)\{0,1\}\([^ /]*\) (\(.*\))$|    \2: \3|p' ||
        die "pip could not install $*; see above"
    ! sees_system_packages "$venv" || check_system_modules "$venv"
}

# check_system_modules VENV: what cameras and buttons need of the system can be imported in the environment.
check_system_modules() {
    local python base module why outside
    python=$(realpath --no-symlinks "$1/bin/python")
    base=$("$python" -I -c 'import sys; print(sys._base_executable)')
    for module in picamera2 cv2 lgpio; do
        why=$(import_trouble "$python" "$module")
        [ -n "$why" ] || continue
        outside=$(import_trouble "$base" "$module")
        [ -n "$outside" ] || die "$module can't be imported in $1, though it can be outside ($why);" \
            "\`$python -m pip list --local\` shows what lies over the system's packages"
        say "warning: the system's $module can't be imported ($outside); what needs it will not work before" \
            "\`sudo apt install --reinstall python3-${module/cv2/opencv}\` mends it"
    done
}

# import_trouble PYTHON MODULE: print why it can't be imported; nothing if it can, or is not there.
import_trouble() {
    local said code=0 place
    place=$(mktemp -d) # lgpio leaves a file where it is imported
    said=$(cd "$place" && "$1" -I -c 'import importlib.util, sys
importlib.util.find_spec(sys.argv[1]) and __import__(sys.argv[1])' "$2" 2>&1 </dev/null) || code=$?
    rm -rf "$place"
    [ "$code" -eq 0 ] || printf '%s\n' "${said##*$'\n'}" | sed "s/^$/it ends with code $code/"
}

# prepare_venv EXTRAS: .venv with the project in it, reinstalled only when what it needs changed.
prepare_venv() {
    local extras=$1 python flags=() stamp size='about 55 MB'
    [ "$extras" != dev ] || size='about 200 MB'
    command -v python3 >/dev/null || need_packages python3
    python=$(find_python)
    if on_a_pi; then
        need_packages python3-picamera2 python3-lgpio
        python=/usr/bin/python3
        flags=(--system-site-packages) # picamera2 comes from apt alone, lgpio has no wheel for Python 3.13
        extras="$extras,pi"
    elif sees_system_packages .venv 2>/dev/null; then
        flags=(--system-site-packages)
    fi
    if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
        make_venv
    fi
    stamp="$(.venv/bin/python --version) [$extras] $(cat pyproject.toml packaging/constraints.txt | sha256sum | cut -c1-16)"
    if [ "$(cat .venv/installed-for 2>/dev/null)" != "$stamp" ]; then
        # What an earlier installation laid over the system's packages goes.
        [ ${#flags[@]} -eq 0 ] || make_venv
        say "installing edge-daemon[$extras] into .venv, fetching what is not here of $size:"
        install_into .venv --editable ".[$extras]"
        echo "$stamp" >.venv/installed-for
    fi
    say "ready: $PWD/.venv"
}

# Make .venv anew for prepare_venv, whose variables it takes.
make_venv() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null || need_packages python3-venv
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear "${flags[@]}" .venv
}
