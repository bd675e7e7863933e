/* An Arduino Uno in simavr: its serial port is stdin and stdout. Writes to stderr "pulse N" whenever the
   pulses on pin 9 change to N microseconds; SIGUSR1 presses the button at pin 2 for a tenth of a second, at the
   earliest half a second after the reset: the sketch debounces for 0.2 s. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <simavr/avr_ioport.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>

static avr_t *avr;
static int may_receive = 1;
static volatile sig_atomic_t presses;
static avr_cycle_count_t raised;
static long shown_us;

static void press(int number) { presses++; }

static void send(avr_irq_t *irq, uint32_t value, void *param) {
  char byte = value;
  if (write(STDOUT_FILENO, &byte, 1) != 1) exit(0);
}

static void set_flow(avr_irq_t *irq, uint32_t value, void *param) { may_receive = param != NULL; }

static void measure(avr_irq_t *irq, uint32_t level, void *param) {
  if (level) {
    raised = avr->cycle;
    return;
  }
  long us = (long)((avr->cycle - raised) / (avr->frequency / 1000000));
  long rounded = (us + 50) / 100 * 100;
  if (raised && rounded != shown_us) {
    shown_us = rounded;
    fprintf(stderr, "pulse %ld\n", rounded);
  }
}

static double now_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

int main(int count, char *words[]) {
  elf_firmware_t firmware = {0};
  if (count != 2 || elf_read_firmware(words[1], &firmware)) return 1;
  avr = avr_make_mcu_by_name("atmega328p");
  if (!avr) return 1;
  avr_init(avr);
  avr_load_firmware(avr, &firmware);
  avr->frequency = 16000000;
  uint32_t flags = 0;
  avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
  avr_irq_t *uart = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), 0);
  avr_irq_register_notify(uart + UART_IRQ_OUTPUT, send, NULL);
  avr_irq_register_notify(uart + UART_IRQ_OUT_XON, set_flow, &avr);
  avr_irq_register_notify(uart + UART_IRQ_OUT_XOFF, set_flow, NULL);
  avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('B'), 1), measure, NULL);
  avr_irq_t *button = avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('D'), 2);
  avr_raise_irq(button, 1);
  signal(SIGUSR1, press);
  fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
  double started_s = now_s();
  avr_cycle_count_t step = 0, release = 0;
  for (int state = cpu_Running; state != cpu_Done && state != cpu_Crashed; state = avr_run(avr)) {
    if (avr->cycle < step) continue;
    step = avr->cycle + 1600; /* a byte at 115200 baud takes 1389 cycles */
    char byte;
    if (may_receive && read(STDIN_FILENO, &byte, 1) == 1) avr_raise_irq(uart + UART_IRQ_INPUT, (uint8_t)byte);
    if (presses > 0 && avr->cycle > avr->frequency / 2) {
      presses = 0;
      avr_raise_irq(button, 0);
      release = avr->cycle + avr->frequency / 10;
    }
    if (release && avr->cycle >= release) {
      release = 0;
      avr_raise_irq(button, 1);
    }
    double ahead_s = (double)avr->cycle / avr->frequency - (now_s() - started_s);
    if (ahead_s > 0.002) usleep(ahead_s * 1e6);
  }
  return 2;
}
