// A servo that turns to one position for each label of edge_daemon: docs/serial.md
// Servo: signal to pin 9, a separate 5 V supply, grounds connected. Button: from pin 2 to ground.

const int SERVO_PIN = 9;
const int BUTTON_PIN = 2;
const char TAUGHT_LABEL[] = "cat";  // the button teaches it
const int REST_US = 1500;           // pulse for any other label, `unknown`, and no label

struct Position {
  const char *label;
  int pulse_us;
};
const Position POSITIONS[] = {{"cat", 1000}, {"dog", 2000}};

char line[80];
byte length = 0;
int pulse_us = REST_US;
unsigned long pulse_ms = 0, asked_ms = 0, answered_ms = 0, pressed_ms = 0;
bool was_pressed = false;

void setup() {
  pinMode(SERVO_PIN, OUTPUT);
  pinMode(BUTTON_PIN, INPUT_PULLUP);
  Serial.begin(115200);
  Serial.println("?");  // the label that was sent while the board started is lost
}

void receive(char byte_in, unsigned long now) {
  if (byte_in != '\n') {
    if (length < sizeof(line) - 1) line[length++] = byte_in;
    return;
  }
  line[length] = '\0';
  length = 0;
  if (strncmp(line, "label ", 6) != 0) return;  // "object ...", "taught ...", "error ..."
  answered_ms = now;
  pulse_us = REST_US;
  for (const Position &position : POSITIONS) {
    if (strcmp(line + 6, position.label) == 0) pulse_us = position.pulse_us;
  }
}

void loop() {
  unsigned long now = millis();
  while (Serial.available()) receive(Serial.read(), now);
  if (now - asked_ms >= 2000) {
    asked_ms = now;
    Serial.println("?");
  }
  if (now - answered_ms >= 6000) pulse_us = REST_US;  // the cable or the program is gone
  if (now - pulse_ms >= 20) {
    pulse_ms = now;
    digitalWrite(SERVO_PIN, HIGH);
    delayMicroseconds(pulse_us);
    digitalWrite(SERVO_PIN, LOW);
  }
  bool pressed = digitalRead(BUTTON_PIN) == LOW;
  if (pressed && !was_pressed && now - pressed_ms >= 200) {
    pressed_ms = now;
    Serial.print("teach ");
    Serial.println(TAUGHT_LABEL);
  }
  was_pressed = pressed;
}
