/**
 * Tab key: the key that the page stores. It is in `sessionStorage`, so that a reload does not request it
 * again. No other tab and no other site can read it, it ends with the tab, and requests do not carry it
 * automatically as they would a cookie. It is stored nowhere else. If the browser stores nothing, the key
 * lasts until a reload.
 */

export class TabKey {
  private readonly name: string;
  private held: string | undefined;

  /** @param name name of the entry */
  constructor(name: string) {
    this.name = name;
    try {
      this.held = sessionStorage.getItem(name) ?? undefined;
    } catch {
      // The browser stores nothing for this site.
    }
  }

  get value(): string | undefined {
    return this.held;
  }

  keep(key: string): void {
    this.held = key;
    try {
      sessionStorage.setItem(this.name, key);
    } catch {
      // As above.
    }
  }

  forget(): void {
    this.held = undefined;
    try {
      sessionStorage.removeItem(this.name);
    } catch {
      // As above.
    }
  }
}
