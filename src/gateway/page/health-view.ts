/**
 * Health view: the strip at the top: connection, sequence number, latency, message rate and missed messages.
 */

import type { Clock } from '../../base/clock';
import { cell, type Cell } from './dom';
import { count, duration, latency } from './format';
import { epochsOf, type Link } from './live-stream';
import type { Health } from './health';
import type { View } from './painter';

/** Most shards whose epochs are displayed one by one. */
const SHOWN_MAX = 3;

export class HealthView implements View {
  private readonly health: Health;
  private readonly clock: Clock;
  private readonly link: () => Link;
  private readonly state: Cell;
  private readonly stateText: Cell;
  private readonly epoch: Cell;
  private readonly seq: Cell;
  private readonly latency: Cell;
  private readonly rate: Cell;
  private readonly conflated: Cell;
  private readonly gaps: Cell;
  private readonly resets: Cell;

  constructor(root: HTMLElement, health: Health, clock: Clock, link: () => Link) {
    this.health = health;
    this.clock = clock;
    this.link = link;
    this.state = cell(root, 'state');
    this.stateText = cell(this.state.element, '', 'b');
    const figure = (name: string, className: string, title: string): Cell => {
      const label = cell(root, className);
      label.element.title = title;
      label.element.append(name);
      return cell(label.element, '', 'b');
    };
    this.epoch = figure('epoch', 'epoch', 'One run of the numbering; a restart begins another');
    this.seq = figure('seq', 'seq', 'The newest sequence number that this page has received');
    this.latency = figure(
      'latency p50 / p99',
      'latency',
      'From the server to this page, over ten seconds, by the clock of the server',
    );
    this.rate = figure('messages/s', 'rate', 'Messages in the last second');
    this.conflated = figure('conflated', 'few', 'Updates that were replaced by a later one');
    this.gaps = figure('gaps', 'few', 'Messages that the server declared missing');
    this.resets = figure('resets', 'few', 'How often state was loaded again');
  }

  paint(): void {
    const { health } = this;
    const link = this.link();
    const [text, mood] = this.describe(link);
    this.state.element.dataset['state'] = link.state;
    this.state.set('', mood);
    this.stateText.set(text);
    const positions = link.state === 'live' ? link.positions : [];
    const areMany = positions.length > SHOWN_MAX;
    this.epoch.set(areMany ? `${positions.length} shards` : epochsOf(positions));
    // Numbers of several shards cannot be compared.
    this.seq.set(positions.length > 1 ? '–' : count(health.seq));
    const times = health.latency();
    this.latency.set(times ? `${latency(times.p50)} / ${latency(times.p99)} ms` : '–');
    this.rate.set(count(health.perSecond));
    this.conflated.set(count(health.conflated));
    this.gaps.set(count(health.gaps), health.gaps > 0 ? 'bad' : '');
    this.resets.set(count(health.resets));
  }

  private describe(link: Link): [text: string, mood: string] {
    if (link.state === 'live') return ['Live', 'live'];
    if (link.state === 'connecting') return ['Connecting', ''];
    if (link.state === 'locked') return ['Key wanted', 'locked'];
    const waitMs = (link.retryAtMs ?? 0) - this.clock.monotonicMs();
    if (link.retryAtMs === undefined) return ['Ended', 'away'];
    return [waitMs > 300 ? `Away, again in ${duration(waitMs)}` : 'Reconnecting', 'away'];
  }
}
