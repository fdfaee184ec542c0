/** Notices: what is the matter, in words, until it no longer is. One line a subject. */

import { make } from './dom';

/** What a notice is of; a new one of the same subject takes the place of the old one. */
export type Subject = 'link' | 'symbol' | 'clock' | 'history';

interface Line {
  readonly element: HTMLElement;
  readonly text: HTMLElement;
}

export class Notices {
  private readonly root: HTMLElement;
  private readonly lines = new Map<Subject, Line>();
  /** Those that somebody has seen and put away, by their text. */
  private readonly dismissed = new Map<Subject, string>();

  constructor(root: HTMLElement) {
    this.root = root;
  }

  /** @param topic two texts of one topic are one notice to whoever put it away */
  show(subject: Subject, text: string, topic = text): void {
    if (this.dismissed.get(subject) === topic) return;
    const line = this.lines.get(subject);
    if (line !== undefined) {
      if (line.text.textContent !== text) line.text.textContent = text;
      return;
    }
    const close = make('button', '', 'Dismiss');
    close.type = 'button';
    close.addEventListener('click', () => {
      this.dismissed.set(subject, topic);
      this.remove(subject);
    });
    const words = make('span', '', text);
    const element = make('p', '', words, close);
    element.dataset['subject'] = subject;
    this.lines.set(subject, { element, text: words });
    this.root.append(element);
  }

  /** It is no longer the matter. */
  clear(subject: Subject): void {
    this.dismissed.delete(subject);
    this.remove(subject);
  }

  private remove(subject: Subject): void {
    this.lines.get(subject)?.element.remove();
    this.lines.delete(subject);
  }
}
