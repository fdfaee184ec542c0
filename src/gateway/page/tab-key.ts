/**
 * Tab key: a key as the page keeps it: in `sessionStorage`, so that a reload does not ask for it again.
 * No other tab and no other site sees it, it ends with the tab, and no request carries it by itself, as
 * a cookie would. It is written nowhere else. Where the browser keeps nothing, it lasts until a reload.
 */

export class TabKey {
  private readonly name: string;
  private held: string | undefined;

  /** @param name of the entry */
  constructor(name: string) {
    this.name = name;
    try {
      this.held = sessionStorage.getItem(name) ?? undefined;
    } catch {
      // The browser keeps nothing for this site.
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
