# Sourced by prepare.sh: checks that the program runs on this machine. Changes nothing.
# DESTDIR is a folder in place of the machine's root, as for `make install`; empty for the machine itself.
DESTDIR=${DESTDIR:-}

on_a_pi() { grep -qs 'Raspberry Pi' "$DESTDIR/proc/device-tree/model"; }

# End with one line if LiteRT has no wheel for this system.
check_processor() {
    local arch
    arch=$(dpkg --print-architecture 2>/dev/null) || arch=$(uname -m)
    case "$arch" in
        amd64 | arm64 | x86_64 | aarch64) ;;
        arm* | i?86) die "this system is a 32-bit one ($arch), and LiteRT is made for 64-bit ones only; $(advise_64_bit)" ;;
        *) die "LiteRT is made for x86-64 and arm64 only, and this system is for $arch" ;;
    esac
}

# check_python PYTHON: end with one line if the packages have no wheels for its version.
check_python() {
    local version
    version=$(python_version "$1")
    case "$version" in
        3.11 | 3.12 | 3.13 | '') ;;
        *) die "this system's Python is $version, and the program's packages are made for 3.11 to 3.13;" \
            "Raspberry Pi OS and Debian have one of those in Bookworm (12) and Trixie (13)" ;;
    esac
}

# The processors of the Pi 1, Zero and Zero W (BCM2835) and the first Pi 2 (BCM2836) have no 64-bit mode; for those that
# have, see `arm_64bit` in raspberrypi/documentation, config_txt/boot.adoc. A 64-bit kernel can run a 32-bit system.
advise_64_bit() {
    local board
    board=$(tr -d '\0' 2>/dev/null <"$DESTDIR/proc/device-tree/model") || board=
    if grep -qsE 'bcm283[56]' "$DESTDIR/proc/device-tree/compatible"; then
        printf "a %s can't run one; a Raspberry Pi Zero 2 W, 3, 4 or 5 can" "${board:-board like this}"
    else
        printf 'write the card again with Raspberry Pi OS (64-bit)'
    fi
}

# python_version PYTHON: print its major and minor version, or apt's if it is not installed; nothing if unknown.
python_version() {
    if [ -x "$1" ]; then
        "$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])'
    else
        apt-cache policy python3 2>/dev/null | sed -n 's/^ *Candidate: \([0-9]*\.[0-9]*\).*/\1/p'
    fi
}

# check_room FOLDER MB: end with one line if its disk is read-only, too full, or in memory.
check_room() {
    local folder=$1 kind free
    while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
    [ -w "$folder" ] || die "$folder can't be written; is the file system read-only?"
    read -r kind free < <(df --block-size=1M --output=fstype,avail "$folder" | tail -n 1)
    # On a Pi, an overlay protects the card from writes; every container has an overlay as well.
    if on_a_pi && [[ $kind =~ ^(overlay|tmpfs)$ ]]; then
        die "$folder lies in memory ($kind), so what is installed is gone after a restart; switch the overlay file" \
            "system off in raspi-config, restart, and run this again"
    fi
    [ "$free" -ge "$2" ] || die "$folder has $free MB free, and the installation takes up to $2 MB"
}

# bring_opencv: install Debian's OpenCV, for USB cameras; without it the installation goes on. The registry's needs
# numpy 2, which breaks picamera2 in Debian 12.
bring_opencv() {
    local free
    ! is_installed python3-opencv || return 0
    read -r _ free < <(df --block-size=1M --output=fstype,avail "$DESTDIR/usr" | tail -n 1)
    if [ "$free" -lt "$opencv_mb" ]; then
        say "warning: no OpenCV, so no USB camera: it takes $opencv_mb MB, and $DESTDIR/usr has $free MB free"
        return
    fi
    say "USB cameras need OpenCV: up to 270 MB to download and 1.2 GB of disk; --no-usb leaves it out"
    (need_packages python3-opencv) ||
        say "warning: no OpenCV, so no USB camera; later: sudo apt install python3-opencv && sudo scripts/install"
}
opencv_mb=1500
