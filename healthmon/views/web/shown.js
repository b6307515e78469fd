// The components that are on the screen, for the keys: those of the list by id, and the one whose view is open.
let listed = new Map();
let open = null;

export function showRows(rows) {
  listed = new Map(rows.map((row) => [row.id, row]));
}

export function showComponent(component) {
  open = component;
}

/** The component of this id; without one, that whose view is open; undefined when there is neither. */
export const componentShown = (id) => (id ? listed.get(id) : open) ?? undefined;
