"""Show the first letter of the label on a micro:bit; button A teaches, B undoes. See docs/serial.md."""

from microbit import button_a, button_b, display, sleep, uart

TAUGHT_LABEL = "cat"  # button A teaches it

uart.init(baudrate=115200)
uart.write("?\n")
received = b""
while True:
    received += uart.read() or b""
    if b"\n" in received:
        line, received = received.split(b"\n", 1)
        if line.startswith(b"label "):
            display.show(str(line, "utf-8")[6:7] or " ")
    received = received[-200:]
    if button_a.was_pressed():
        uart.write("teach " + TAUGHT_LABEL + "\n")
    if button_b.was_pressed():
        uart.write("undo\n")
    sleep(10)
