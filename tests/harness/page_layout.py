"""Faults in the layout of the shown page: what overflows, overlaps or is cut off."""

from __future__ import annotations

from typing import cast

from playwright.sync_api import Page

_BLOCKS = ", ".join(
    [
        ".top h1",
        ".state",
        ".tabs a",
        ".place",
        ".under > *",
        ".scene > *",
        ".result",
        ".teach > .row > *",
        ".target button",
        ".tile",
        "#new-class > *",
        "#recommendation",
        ".uncertain .row > *",
        ".strip li",
        ".changes .row > *",
        "#changes li > *",
        ".history .row > *",
        ".seen li",
        ".filters > *",
        ".group",
        ".thumb",
        ".mark",
        "fieldset .field",
        ".settings .actions > *",
        ".checks li",
        ".downloads > *",
    ]
)
"""Elements that must not overlap."""

_FIND = """
blocks => {
  const faults = [];
  const textOf = each => each.textContent.trim();
  const name = each => `${each.tagName}#${each.id}.${each.className} “${textOf(each).slice(0, 30)}”`;
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) faults.push(`the page is ${root.scrollWidth} px wide in ${innerWidth}`);
  const isShown = each => each.checkVisibility({visibilityProperty: true}) && !each.closest('.unseen');
  // The part of an element that its scrolling ancestors show.
  const shownBox = each => {
    let {left, top, right, bottom} = each.getBoundingClientRect();
    for (let up = each.parentElement; up; up = up.parentElement) {
      if (getComputedStyle(up).overflow === 'visible') continue;
      const box = up.getBoundingClientRect();
      [left, top] = [Math.max(left, box.left), Math.max(top, box.top)];
      [right, bottom] = [Math.min(right, box.right), Math.min(bottom, box.bottom)];
    }
    return {left, top, right, bottom};
  };
  const isFixed = each =>
    each && (['fixed', 'sticky'].includes(getComputedStyle(each).position) || isFixed(each.parentElement));
  const inFlow = [...document.querySelectorAll(blocks)].filter(each => isShown(each) && !isFixed(each));
  const placed = inFlow.map(each => ({each, box: shownBox(each)}));
  placed.forEach(({each: one, box: a}, index) => {
    for (const {each: other, box: b} of placed.slice(index + 1)) {
      if (one.contains(other) || other.contains(one)) continue;
      const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (width > 1 && height > 1) faults.push(`${name(one)} overlaps ${name(other)}`);
    }
  });
  const texts = 'button, .button, h1, h2, h3, p, label, legend, b, span, li, time, summary';
  for (const each of document.querySelectorAll(texts)) {
    const style = getComputedStyle(each);
    if (!isShown(each) || !textOf(each) || style.overflow === 'visible') continue;
    const isCut = each.scrollWidth > each.clientWidth + 1 || each.scrollHeight > each.clientHeight + 3;
    if (!isCut || /auto|scroll/.test(style.overflowX + style.overflowY)) continue;
    const isEllipsis = style.textOverflow === 'ellipsis' || style.webkitLineClamp !== 'none';
    if (!isEllipsis) faults.push(`${name(each)} is cut off`);
    else if (!each.closest('[title], [aria-label]')) faults.push(`${name(each)} has no full form`);
  }
  for (const each of document.querySelectorAll('.small, .chip, .new-class :is(button, .button), .tabs a')) {
    if (isShown(each) && each.offsetHeight > 50) faults.push(`${name(each)} wraps`);
  }
  return faults;
}
"""


def layout_faults(page: Page) -> list[str]:
    """Return a line for each overflow, overlap, wrapped button and text without its full form."""
    return cast(list[str], page.evaluate(_FIND, _BLOCKS))
