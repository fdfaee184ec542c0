/**
 * DOM: creates elements, and cells that change the document only if their text or class has changed, so
 * thousands of updates cost only the actual changes on the screen.
 */

/** An element of index.html. @throws Error if it is missing: page and script do not match */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = '',
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  made.append(...children);
  return made;
}

/** An element whose text and class are set often but rarely change. */
export class Cell {
  readonly element: HTMLElement;
  private readonly own: string;
  /** One text node that is updated: cheaper than a new node per text. */
  private readonly node = document.createTextNode('');
  private text = '';
  private mood = '';

  constructor(element: HTMLElement) {
    this.element = element;
    this.own = element.className;
    element.append(this.node);
  }

  /** @param mood a class besides its own, such as `up` */
  set(text: string, mood = this.mood): void {
    if (text !== this.text) {
      this.text = text;
      this.node.data = text;
    }
    if (mood === this.mood) return;
    this.mood = mood;
    this.element.className = mood === '' ? this.own : `${this.own} ${mood}`;
  }
}

/** Adds an element to a parent, as a cell. */
export function cell(parent: HTMLElement, className: string, tag: 'span' | 'b' = 'span'): Cell {
  const element = make(tag, className);
  parent.append(element);
  return new Cell(element);
}

/** A group of buttons of which one is pressed. */
export class Choice<V extends string> {
  readonly element: HTMLElement;
  private readonly buttons: readonly HTMLButtonElement[];

  constructor(
    options: readonly (readonly [value: V, text: string])[],
    label: string,
    chosen: (value: V) => void,
    className = '',
  ) {
    this.element = make('div', `choice ${className}`.trim());
    this.element.setAttribute('role', 'group');
    this.element.setAttribute('aria-label', label);
    this.buttons = options.map(([value, text]) => {
      const button = make('button', '', text);
      button.type = 'button';
      button.value = value;
      button.addEventListener('click', () => chosen(value));
      return button;
    });
    this.element.append(...this.buttons);
  }

  disable(disabled: boolean): void {
    for (const button of this.buttons) button.disabled = disabled;
  }

  press(value: V | undefined): void {
    for (const button of this.buttons) {
      button.setAttribute('aria-pressed', String(button.value === value));
    }
  }
}
