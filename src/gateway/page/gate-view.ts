/**
 * Gate view: requests a key if the server requires one, and says why a presented key was refused. It
 * overlays the page, so the layout does not move when it opens or closes, and earlier data stay visible
 * behind it. The key is entered in a password field, which is emptied as soon as it has been read.
 */

import type { TapedeckError } from '../../client/index';
import { make } from './dom';

export class GateView {
  private readonly root: HTMLDialogElement;
  private readonly present: (key: string) => Promise<void>;
  private readonly why = make('p', 'why');
  private readonly key = make('input');
  private readonly submit = make('button', 'submit', 'Open');
  private readonly outcome = make('p', 'outcome');
  private proving = false;

  /** @param present presents a key to the server; rejects if the key is refused */
  constructor(root: HTMLDialogElement, present: (key: string) => Promise<void>) {
    this.root = root;
    this.present = present;
    const title = make('h2', '', 'This server requires a key');
    title.id = 'gate-title';
    root.setAttribute('aria-labelledby', title.id);
    const { why, key, submit, outcome } = this;
    key.type = 'password';
    key.autocomplete = 'off';
    key.spellcheck = false;
    outcome.setAttribute('role', 'status');
    const note = make('p', 'muted', 'It is kept for this tab only, and never put into a URL.');
    const form = make('form', '', title, why, make('label', '', 'Key or token', key), submit);
    form.append(outcome, note);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.prove();
    });
    // Without an accepted key there is nothing to return to.
    root.addEventListener('cancel', (event) => event.preventDefault());
    root.append(form);
  }

  get isOpen(): boolean {
    return this.root.open;
  }

  show(why: string): void {
    this.why.textContent = why;
    this.say('');
    if (!this.root.open) this.root.showModal();
    this.key.focus();
  }

  hide(): void {
    if (this.root.open) this.root.close();
  }

  private async prove(): Promise<void> {
    const key = this.key.value.trim();
    if (key === '' || this.proving) return;
    this.key.value = '';
    this.proving = true;
    this.submit.disabled = true;
    this.say('Checking the key …');
    try {
      await this.present(key);
      this.say('');
    } catch (e) {
      const { code, message } = e as TapedeckError;
      const isRefused = code === 'unauthorized' || code === 'forbidden';
      this.say(
        isRefused ? `The server refused it: ${message}.` : `It could not be checked: ${message}.`,
      );
      this.outcome.classList.add('down');
    }
    this.proving = false;
    this.submit.disabled = false;
    if (this.root.open) this.key.focus();
  }

  private say(text: string): void {
    this.outcome.textContent = text;
    this.outcome.className = 'outcome';
  }
}
