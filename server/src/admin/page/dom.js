// What is done to the document. Text stays text: nothing here makes markup of a string.

export const byId = (id) => document.getElementById(id);

/** Sets a text; one that is the same is left, so that a selection in it survives. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets an attribute, or takes it away if there is no value. */
export function setAttribute(node, name, value) {
  if (value === undefined || value === null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** An element with a class and what is in it. */
export function make(name, className = "", ...children) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

/** A notice with this text, or none. */
export function setNotice(node, text, tone) {
  node.hidden = !text;
  setText(node, text || "");
  if (tone) setAttribute(node, "data-tone", tone);
}

/** A row of a table, a cell for each [label, class]; the first one names the row. */
export function makeRow(columns) {
  const row = make("tr");
  row.setAttribute("role", "row");
  for (const [index, [label, className]] of columns.entries()) {
    const cell = make(index === 0 ? "th" : "td", className);
    if (index === 0) cell.scope = "row";
    cell.setAttribute("role", index === 0 ? "rowheader" : "cell");
    cell.dataset.label = label;
    row.append(cell);
  }
  return row;
}

/** A table that is laid out as a list on narrow screens stays a table for who hears it. */
export function keepRoles(table) {
  table.setAttribute("role", "table");
  const roles = { thead: "rowgroup", tbody: "rowgroup", tr: "row", th: "columnheader" };
  for (const [name, role] of Object.entries(roles)) {
    for (const node of table.querySelectorAll(name)) node.setAttribute("role", role);
  }
}

/** Sets the texts of a row's cells; `undefined` leaves one as it is. */
export function setCells(row, texts) {
  for (const [index, text] of texts.entries()) {
    if (text === undefined) continue;
    const cell = row.cells[index];
    setText(cell, text);
    cell.classList.toggle("void", text === "");
  }
}

/**
 * Makes the rows of a table body those of `items`. A row that stays is changed and not made anew: nothing
 * flickers, and whatever has the focus keeps it.
 */
export function syncRows(body, items, keyOf, makeOne, change) {
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const wanted = new Map(items.map((item) => [String(keyOf(item)), item]));
  for (const [key, row] of known) if (!wanted.has(key)) row.remove();
  let place = body.rows[0] ?? null;
  for (const [key, item] of wanted) {
    let row = known.get(key);
    if (!row) {
      row = makeOne(item);
      row.dataset.key = key;
    }
    if (row === place) place = row.nextElementSibling;
    else body.insertBefore(row, place);
    change(row, item);
  }
}

/** Uses what the browser remembers; it may be told to remember nothing. */
export function recall(use) {
  try {
    return use();
  } catch {
    return null;
  }
}
