# Sourced by install: camera and page of a first installation, and the last lines of every installation.

page_port=8080
verdict=

# choose_camera PROGRAM: write a USB camera into a new configuration, except on a Raspberry Pi.
choose_camera() {
    on_a_pi || "$1/bin/edge-daemon" config set --config "$config" camera.type=v4l2 >/dev/null
}

# turn_on_page PROGRAM: write a free port for the page into a new configuration, for this machine only.
turn_on_page() {
    "$1/bin/edge-daemon" config set --config "$config" "web.listen=$(free_page_port)" >/dev/null ||
        say "warning: the page stays off; see above"
}

# free_page_port: print the first free port.
free_page_port() {
    local port=$page_port
    while port_is_taken "$port" && [ "$port" -lt 8100 ]; do port=$((port + 1)); done
    echo "$port"
}

# ask_doctor_for_all PROGRAM: keep its verdict until the end. A running service has the camera and the pins.
ask_doctor_for_all() {
    local skip=()
    ! service_is active || skip=(--skip camera --skip gpio)
    say "asking edge-daemon doctor"
    verdict=$(as_service timeout 120 "$1/bin/edge-daemon" doctor "${skip[@]}" --config "$config" 2>&1) || true
}

end_installation() {
    if $stays_stopped; then
        : # put_in_place has printed it
    elif systemd_runs; then
        say "started; follow it with: journalctl -fu edge-daemon"
    else
        say "systemd is not running here; the service starts at the next boot"
    fi
    show_page
    show_verdict
}

# show_page: print the page's address, or the command that turns it on.
show_page() {
    local listen
    listen=$("$target/venv/bin/edge-daemon" config show --config "$config" 2>/dev/null |
        sed -n 's/^web\.listen: "\{0,1\}\([^" ]*\)"\{0,1\}  #.*/\1/p') || true
    case "$listen" in
        '' | null)
            say "the page is off; turn it on: sudo edge-daemon config set web.listen=$(free_page_port)" \
                "&& sudo systemctl restart edge-daemon"
            ;;
        0.0.0.0:* | '[::]:'*)
            say "the page: http://$(own_address):${listen##*:}/"
            ;;
        *:*)
            say "the page: http://$listen/"
            ;;
        *)
            say "the page: http://127.0.0.1:$listen/ on this machine. From another one: run there" \
                "ssh -L $listen:127.0.0.1:$listen ${SUDO_USER:-$(id -un)}@$(own_address), and open that address"
            ;;
    esac
}

# own_address: print the first address of this machine, or its name.
own_address() {
    local address
    address=$(hostname -I 2>/dev/null | cut -d ' ' -f 1) || true
    printf '%s\n' "${address:-$(uname -n)}"
}

# show_verdict: print the checks of the doctor that are not ok, and the command that runs it again.
show_verdict() {
    local all bad
    all=$(grep -cE '^(ok|warn|FAIL) ' <<<"$verdict") || true
    bad=$(grep -cE '^(warn|FAIL) ' <<<"$verdict") || true
    if [ "$all" -gt 0 ] && [ "$bad" -eq 0 ]; then
        say "doctor: all $all checks are ok"
    else
        say "doctor: $bad of $all checks need a look:"
        grep -vE '^ok ' <<<"$verdict" | sed 's/^/    /'
    fi
    if command -v sudo >/dev/null; then
        say "ask it again with: sudo -u edge-daemon edge-daemon doctor"
    else
        say "ask it again with: runuser -u edge-daemon -- edge-daemon doctor"
    fi
}
