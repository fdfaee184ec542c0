/** Travel view: the time slider, the displayed time, and the buttons of the replay. */

import { Nanos } from '../../client/index';
import { Choice, make } from './dom';
import { moment } from './format';
import { readTime } from './time-input';
import type { View } from './painter';
import { SPEEDS, type Speed, type TimeTravel } from './time-travel';

const MINUTE_MS = 60_000;
/** Ranges of the slider; `all`: back to the first record. */
const SPANS = [
  ['5m', '5 min', 5 * MINUTE_MS],
  ['1h', '1 h', 60 * MINUTE_MS],
  ['1d', '1 d', 1_440 * MINUTE_MS],
  ['all', 'all', 0],
] as const;
type Span = (typeof SPANS)[number][0];
const STEPS = 2_000;

/** What the slider needs from the page. */
export interface TravelViewHost {
  now(): Nanos;
  /** Start of the history of the chosen instrument; undefined if unknown. */
  first(): Promise<Nanos | undefined> | undefined;
}

export class TravelView implements View {
  private readonly travel: TimeTravel;
  private readonly host: TravelViewHost;
  private readonly live = make('button', 'live', 'Live');
  private readonly slider = make('input');
  private readonly text = make('input');
  private readonly replayButton = make('button', 'play', 'Play');
  private readonly note = make('span', 'note');
  private readonly spans: Choice<Span>;
  private readonly speeds: Choice<Speed>;
  private span: Span = '5m';
  private fromMs = 0;
  private toMs = 0;
  private dragging = false;
  /** What is wrong with the typed time. The text stays in the field until it is corrected. */
  private fault = '';
  /** How the typed time was interpreted. */
  private remark = '';

  constructor(root: HTMLElement, travel: TimeTravel, host: TravelViewHost) {
    this.travel = travel;
    this.host = host;
    this.spans = new Choice<Span>(
      SPANS.map(([value, name]) => [value, name] as const),
      'Range of the slider',
      (span) => void this.reach(span),
    );
    this.speeds = new Choice<Speed>(
      SPEEDS.map((speed) => [speed, `×${speed}`] as const),
      'Speed',
      (speed) => void travel.setSpeed(speed),
    );
    this.live.type = 'button';
    this.replayButton.type = 'button';
    this.slider.type = 'range';
    this.slider.setAttribute('aria-label', 'Moment');
    this.text.type = 'text';
    this.text.setAttribute('aria-label', 'Moment, in UTC');
    this.text.spellcheck = false;
    const { spans, speeds, replayButton, note } = this;
    root.append(
      make('div', 'line', this.live, this.slider, this.text),
      make('div', 'line', replayButton, speeds.element, spans.element, note),
    );
    this.listen();
    this.spans.press(this.span);
  }

  /** Moves back by ten seconds, or returns to the present. */
  toggle(): void {
    if (this.travel.past === undefined) void this.enter(this.host.now().plus(-10_000 * 1e6));
    else this.goLive();
  }

  /** Returns to the present. */
  goLive(): void {
    this.say('', '');
    this.travel.live();
  }

  togglePlay(): void {
    if (this.travel.past === undefined) return;
    if (this.travel.playing) this.travel.pause();
    else void this.travel.play();
  }

  /** Another instrument was chosen. @param at the past time that stays on the screen, if there is one */
  restart(at: Nanos | undefined): void {
    if (at === undefined) this.goLive();
    else void this.travel.seek(at);
    void this.reach(this.span);
  }

  paint(): void {
    const { past, playing, speed } = this.travel;
    const time = this.travel.displayedTime();
    if (past === undefined) this.slide(time.millis);
    this.live.setAttribute('aria-pressed', String(past === undefined));
    if (!this.dragging) this.slider.value = String(past === undefined ? this.toMs : time.millis);
    this.slider.setAttribute('aria-valuetext', moment(time));
    if (document.activeElement !== this.text && this.fault === '') this.text.value = moment(time);
    this.replayButton.textContent = playing ? 'Pause' : 'Play';
    this.replayButton.disabled = past === undefined;
    this.speeds.press(speed);
    const note = this.describe();
    if (this.note.textContent !== note) this.note.textContent = note;
    this.note.title = note;
  }

  private describe(): string {
    const { past, playing, speed } = this.travel;
    if (this.fault !== '') return this.fault;
    if (past === undefined) return '';
    if (past.note !== '' || past.doubt !== '') return past.note || past.doubt;
    if (playing) return `Replaying the journal at ×${speed}`;
    return this.remark === '' ? 'Everything except the list is as of this time.' : this.remark;
  }

  private say(fault: string, remark: string): void {
    this.fault = fault;
    this.remark = remark;
    this.note.classList.toggle('down', fault !== '');
    if (fault === '') this.text.removeAttribute('aria-invalid');
    else this.text.setAttribute('aria-invalid', 'true');
  }

  private listen(): void {
    const { slider, text } = this;
    this.live.addEventListener('click', () => this.goLive());
    this.replayButton.addEventListener('click', () => this.togglePlay());
    slider.addEventListener('pointerdown', () => (this.dragging = true));
    slider.addEventListener('pointerup', () => (this.dragging = false));
    slider.addEventListener('pointercancel', () => (this.dragging = false));
    slider.addEventListener('change', () => (this.dragging = false));
    slider.addEventListener('input', () => {
      this.say('', '');
      void this.enter(Nanos.fromMillis(Number(slider.value)));
    });
    text.addEventListener('change', () => this.read());
    text.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') text.blur();
    });
  }

  private read(): void {
    const read = readTime(this.text.value, this.host.now(), this.travel.displayedTime());
    if ('fault' in read) {
      this.say(read.fault, '');
      this.paint();
      return;
    }
    const { at: time, remark } = read;
    this.say('', remark);
    if (time.millis < this.fromMs || time.millis > this.toMs) {
      this.slide(Math.max(this.toMs, time.millis), Math.min(this.fromMs, time.millis));
    }
    void this.enter(time);
  }

  private enter(at: Nanos): Promise<void> {
    const now = this.host.now();
    return this.travel.seek(at.compare(now) > 0 ? now : at);
  }

  private async reach(span: Span): Promise<void> {
    this.span = span;
    this.spans.press(span);
    const nowMs = this.host.now().millis;
    const lengthMs = SPANS.find(([value]) => value === span)![2];
    const first = await this.host.first()?.catch(() => undefined);
    if (this.span !== span) return;
    const firstMs = first === undefined ? nowMs - 5 * MINUTE_MS : first.millis;
    const { past } = this.travel;
    const toMs =
      past === undefined || lengthMs === 0 ? nowMs : Math.max(past.at.millis + lengthMs / 2, 0);
    const fromMs = lengthMs === 0 ? firstMs : Math.max(toMs - lengthMs, firstMs);
    this.slide(Math.min(toMs, nowMs), fromMs);
  }

  private slide(toMs: number, fromMs = this.fromMs): void {
    const lengthMs = SPANS.find(([value]) => value === this.span)![2];
    const moves = this.travel.past === undefined && lengthMs > 0;
    this.toMs = toMs;
    this.fromMs = moves ? Math.max(fromMs, toMs - lengthMs) : fromMs;
    const step = Math.max(1, Math.round((this.toMs - this.fromMs) / STEPS));
    // The lower end is set first: while the ends of a range are crossed, the browser changes its value.
    this.slider.min = String(this.fromMs);
    this.slider.max = String(Math.max(this.toMs, this.fromMs + 1));
    this.slider.step = String(step);
  }
}
