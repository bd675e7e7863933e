"""Catch falling stars: catch.py. The arrow keys start the basket, any other key stops it, q ends the game."""

import curses
import random

WIDTH, HEIGHT, BASKET = 40, 18, "\\___/"
TICK_MS, FALL_TICKS, LIVES = 80, 3, 5


class Game:
    """One game. A label is one key press, so the basket moves on until the next key."""

    def __init__(self):
        self.left, self.step = (WIDTH - len(BASKET)) // 2, 0
        self.star = [random.randrange(WIDTH), 0]  # column, row
        self.ticks = self.score = 0
        self.lives = LIVES

    def press(self, key):
        """Start or stop the basket."""
        self.step = {curses.KEY_LEFT: -1, curses.KEY_RIGHT: 1}.get(key, 0)

    def tick(self):
        """Move the basket by a column and, every third time, the star by a row."""
        self.left = min(max(self.left + self.step, 0), WIDTH - len(BASKET))
        self.ticks += 1
        if self.ticks % FALL_TICKS:
            return
        self.star[1] += 1
        if self.star[1] == HEIGHT:
            caught = self.left <= self.star[0] < self.left + len(BASKET)
            self.score += caught
            self.lives -= not caught
            self.star = [random.randrange(WIDTH), 0]


def draw(screen, game):
    """Draw basket, star and score."""
    screen.erase()
    screen.addstr(0, 0, f"Score {game.score}   Lives {game.lives}")
    screen.addstr(game.star[1] + 1, game.star[0], "*")
    screen.addstr(HEIGHT + 1, game.left, BASKET)
    if not game.lives:
        screen.addstr(HEIGHT // 2, 4, "The end. Left or right: again.")
    screen.refresh()


def play(screen):
    """Play until q."""
    curses.curs_set(0)
    screen.timeout(TICK_MS)
    game = Game()
    while (key := screen.getch()) != ord("q"):
        if not game.lives and key in (curses.KEY_LEFT, curses.KEY_RIGHT):
            game = Game()
        if key != curses.ERR:
            game.press(key)
        if game.lives:
            game.tick()
        draw(screen, game)


if __name__ == "__main__":
    curses.wrapper(play)
