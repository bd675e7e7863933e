# Sourced by test-deb, test-install and test-arm: a fresh Debian in a folder, of this processor's kind or another. Needs root.
# Another kind's programs are run by qemu one by one, as on the core of a Raspberry Pi Zero 2 W.

arch=               # its processor
root=               # its folder
cpuinfo=/proc/cpuinfo # what it sees there

# prepare_processor ARCH FOLDER: what running programs for ARCH takes; FOLDER is for files of ours.
prepare_processor() {
    arch=$1
    need_packages mmdebstrap
    [ "$arch" != "$(dpkg --print-architecture)" ] || return 0
    need_packages qemu-user-static arch-test
    arch-test "$arch" >/dev/null || die "this machine can't run programs for $arch; is binfmt_misc mounted?"
    export QEMU_CPU=cortex-a53
    # qemu shows this machine's own, and the interpreter's kernels need one that they understand.
    cpuinfo=$2/cpuinfo
    printf '%s\t: %s\n' processor 0 Features 'fp asimd evtstrm crc32 cpuid' 'CPU implementer' 0x41 \
        'CPU architecture' 8 'CPU variant' 0x0 'CPU part' 0xd03 'CPU revision' 4 >"$cpuinfo"
}

# make_debian SUITE FOLDER PACKAGE,…: from the mirror that this machine's apt uses.
make_debian() {
    local mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
        grep -v security | head -n 1)
    root=$2
    say "making a Debian $1 for $arch"
    mmdebstrap --quiet --mode=root --architectures="$arch" --variant=minbase --include="$3" \
        --skip=cleanup/apt/lists "$1" "$root" "$mirror"
}

# Let it reach the registry of Python packages as this machine does.
lend_network() {
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    install -D -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    [ ! -e /etc/pip.conf ] || cp -L /etc/pip.conf "$root/etc/"
}

# Run a command in it, with a /proc, a /sys and a /dev that are gone with the command.
inside() {
    # shellcheck disable=SC2016  # the inner shell expands these
    unshare --mount sh -c 'mount -t proc proc "$1/proc" && mount --bind "$0" "$1/proc/cpuinfo" &&
        mount -t sysfs -o ro sys "$1/sys" && mount --rbind /dev "$1/dev" && exec chroot "$@"' \
        "$cpuinfo" "$root" env -i ${QEMU_CPU:+QEMU_CPU=$QEMU_CPU} PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}
