/** Notices: texts about problems, displayed until the problem is over. One line per subject. */

import { make } from './dom';

/** Subject of a notice. A new notice replaces the previous one of the same subject. */
export type Subject = 'link' | 'symbol' | 'clock' | 'history';

interface Line {
  readonly element: HTMLElement;
  readonly text: HTMLElement;
}

export class Notices {
  private readonly root: HTMLElement;
  private readonly lines = new Map<Subject, Line>();
  /** Notices that the user has dismissed, by their topic. */
  private readonly dismissed = new Map<Subject, string>();

  constructor(root: HTMLElement) {
    this.root = root;
  }

  /** @param topic a dismissed notice stays hidden while its topic is the same, even if the text differs */
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

  /** The problem is over. */
  clear(subject: Subject): void {
    this.dismissed.delete(subject);
    this.remove(subject);
  }

  private remove(subject: Subject): void {
    this.lines.get(subject)?.element.remove();
    this.lines.delete(subject);
  }
}
