/**
 * Page: the map: state, feed and views are made here and joined. What comes goes into the state and
 * marks the views that show it; the painter paints those, once a frame.
 */

import { BAR_SECONDS, type BarInterval } from '../../../protocol/bars';
import { SystemClock } from '../../base/clock';
import {
  fetchTrades,
  Nanos,
  type Execution,
  type Instrument,
  type Item,
  type TapedeckError,
} from '../../client/index';
import { ChartView } from './chart-view';
import { Desk } from './desk';
import { byId, Cell } from './dom';
import { Feed, type Link, type Part } from './feed';
import { moment } from './format';
import { GateView } from './gate-view';
import { HeadView } from './head-view';
import { Health } from './health';
import { HealthView } from './health-view';
import { LadderView } from './ladder-view';
import { ListView } from './list-view';
import { tellAway, tellClock } from './matters';
import { Notices } from './notices';
import { OrderView } from './order-view';
import { OwnOrders } from './own-orders';
import { Painter } from './painter';
import { PastBars } from './past-bars';
import { TabKey } from './tab-key';
import { TapeView } from './tape-view';
import { TimeTravel } from './time-travel';
import { TravelView } from './travel-view';

const YOUNG_BARS = 5;
const TRADES = 80;
const LOOK_EVERY_MS = 250;

export class Page {
  readonly list: ListView;
  readonly order: OrderView;
  readonly travelView: TravelView;
  private readonly clock = new SystemClock();
  private readonly painter = new Painter();
  private readonly desk = new Desk();
  private readonly health = new Health(this.clock);
  private readonly notices = new Notices(byId('notice'));
  /** By which it reads, where that needs one. */
  private readonly key = new TabKey('tapedeck.read');
  private readonly pastBars: PastBars;
  private readonly gate: GateView;
  private readonly feed: Feed;
  private readonly travel: TimeTravel;
  private readonly own: OwnOrders;
  private readonly head: HeadView;
  private readonly ladder: LadderView;
  private readonly tape: TapeView;
  private readonly chart: ChartView;
  private readonly strip: HealthView;
  private readonly url: string;
  private interval: BarInterval = '1m';
  /** Somebody chose it; before, a young market is shown by the second. */
  private intervalChosen = false;
  /** The instrument that the address names, until it is there. */
  private wanted: string | undefined;

  constructor(url: string, trading: 'open' | 'none') {
    this.url = url;
    const { desk, health, clock, painter } = this;
    this.pastBars = new PastBars(url, this.key, clock);
    this.feed = new Feed(url, clock, this.key, {
      link: (link) => this.linked(link),
      instrument: (definition) => this.defined(definition),
      item: (item, part) => this.take(item, part),
      execution: (execution) => this.executed(execution),
      clock: (answer) => {
        health.ping(answer);
        tellClock(this.notices, health.offsetMs ?? 0);
      },
      refused: (part, error) => this.refused(part, error),
    });
    this.gate = new GateView(byId('gate') as HTMLDialogElement, (key) => this.feed.unlock(key));
    const client = () => this.feed.client;
    const key = () => this.key.value;
    const now = (): Nanos => this.serverNow();
    const definition = (symbol = desk.chosen): Instrument | undefined =>
      desk.rows.get(symbol ?? '')?.definition;
    this.own = new OwnOrders(
      {
        url,
        client,
        key,
        definition,
        changed: () => painter.mark(this.order),
        ended: (why) => this.order.keyEnded(why),
      },
      trading,
    );
    const changed = (): void => this.pastChanged();
    this.travel = new TimeTravel({ url, client, key, definition, now, changed }, clock);
    this.list = new ListView(
      byId('list'),
      desk,
      health,
      (symbol) => this.choose(symbol),
      () => painter.mark(this.list),
    );
    this.head = new HeadView(byId('head'), desk, (interval) => this.chooseInterval(interval));
    this.ladder = new LadderView(
      byId('ladder'),
      new Cell(byId('book-place')),
      () => this.ladderSource(),
      (price) => this.order.pick(price),
    );
    this.tape = new TapeView(
      byId('tape'),
      new Cell(byId('tape-note')),
      () => this.tapeSource(),
      () => painter.mark(this.tape),
    );
    this.chart = new ChartView(byId('chart'), byId('moment'), () => painter.mark(this.chart));
    this.strip = new HealthView(byId('health'), health, clock, () => this.feed.link);
    const last = (): number | null => desk.row?.last ?? null;
    const isLive = (): boolean => this.feed.link.state === 'live';
    this.order = new OrderView(byId('orders'), new Cell(byId('order-note')), this.own, { definition, last, isLive }); // prettier-ignore
    this.travelView = new TravelView(byId('travel'), this.travel, {
      now,
      first: () => (desk.chosen === undefined ? undefined : this.pastBars.first(desk.chosen)),
    });
  }

  /** @param symbol that the address names, if it names one */
  start(symbol: string | undefined): void {
    this.wanted = symbol;
    this.head.pressInterval(this.interval);
    setInterval(() => this.look(), LOOK_EVERY_MS);
    this.feed.start();
    this.look();
  }

  /** Shows an instrument; one that is not there is said to be so. */
  choose(symbol: string): void {
    if (this.desk.rows.has(symbol)) {
      this.wanted = undefined;
      this.notices.clear('symbol');
      this.show(symbol);
    } else {
      this.wanted = symbol;
      this.tellUnknown();
    }
  }

  /** A key is asked for, and nothing else can be done. */
  get isLocked(): boolean {
    return this.gate.isOpen;
  }

  /** Keeps no key any more, nor what it was shown with one. */
  forgetKeys(): void {
    this.key.forget();
    this.own.forget();
    location.reload();
  }

  live(): void {
    this.travel.live();
  }

  setFilter(text: string): void {
    this.list.setFilter(text);
    this.painter.mark(this.list);
  }

  /** The page is in sight again, after however long. */
  wake(): void {
    this.feed.wake();
    this.markAll();
  }

  // ── what comes ──────────────────────────────────────────────────────────────────────────────

  private linked(link: Link): void {
    document.body.classList.toggle('away', link.state !== 'live');
    if (link.state === 'live') {
      this.desk.connected();
      this.gate.hide();
      void this.own.connected().catch(() => {});
    }
    if (link.state === 'live' || link.state === 'locked') this.notices.clear('link');
    if (link.state === 'locked') {
      this.own.locked();
      this.gate.show(link.why);
    }
    this.painter.mark(this.strip);
    this.painter.mark(this.order);
    this.look();
  }

  private defined(definition: Instrument): void {
    if (this.desk.define(definition)) this.list.resort();
    if (definition.symbol === this.wanted) this.choose(definition.symbol);
    this.painter.mark(this.list);
    this.painter.mark(this.order);
  }

  private take(item: Item, part: Part): void {
    const { painter, desk } = this;
    const isNews = item.type !== 'bar' && item.type !== 'stats' && item.type !== 'status';
    this.health.take(item, isNews && this.isLive(item));
    if (part === 'all') {
      desk.takeOverview(item);
      if (item.type === 'reset') this.list.resort();
      painter.mark(this.list);
      if (item.type !== 'reset' && item.type !== 'gap' && item.symbol === desk.chosen) {
        painter.mark(this.head);
      }
      this.chooseFirst();
    } else if (part === 'bars') {
      this.takeBar(item);
    } else {
      desk.takeChosen(item);
      if (item.type === 'reset' && desk.chosen !== undefined) void this.loadTrades(desk.chosen);
      painter.mark(
        item.type === 'book' ? this.ladder : item.type === 'stats' ? this.head : this.tape,
      );
      if (item.type === 'reset') painter.mark(this.ladder);
    }
  }

  private isLive(item: Item): boolean {
    if (item.type === 'book') return item.form === 'delta';
    return 'seq' in item && item.seq > this.feed.connectedAtSeq;
  }

  private takeBar(item: Item): void {
    const { row } = this.desk;
    if (item.type === 'bar' && row !== undefined) this.chart.take(item, row.definition);
    // What lies between is not told: history is.
    else if (item.type === 'reset' || item.type === 'gap') {
      this.chart.broken();
      void this.loadBars();
    }
    this.painter.mark(this.chart);
  }

  private executed(execution: Execution): void {
    if (this.own.sharesPage) this.own.take(execution);
  }

  private refused(part: Part, error: TapedeckError): void {
    if (error.code === 'closed') return;
    const what = part === 'all' ? 'the list of instruments' : (this.desk.chosen ?? part);
    this.notices.show('symbol', `The server does not serve ${what}: ${error.message}.`);
  }

  // ── the chosen instrument ───────────────────────────────────────────────────────────────────

  /** The address may name what there is not: it is said, and something else is shown. */
  private chooseFirst(): void {
    const { first } = this.list;
    if (this.desk.chosen !== undefined || first === undefined) return;
    this.show(first);
    this.tellUnknown();
  }

  private tellUnknown(): void {
    const { wanted } = this;
    const { chosen } = this.desk;
    if (wanted === undefined || chosen === undefined) return;
    this.notices.show('symbol', `There is no instrument ${wanted} here; this is ${chosen}.`);
  }

  private show(symbol: string): void {
    if (symbol === this.desk.chosen) return;
    this.desk.choose(symbol);
    this.travelView.restart();
    this.feed.follow(symbol);
    this.beginBars();
    history.replaceState(null, '', `#${encodeURIComponent(symbol)}`);
    document.title = `${symbol} · Tapedeck`;
    void this.loadTrades(symbol);
    this.list.reveal(symbol);
    this.markAll();
  }

  private chooseInterval(interval: BarInterval): void {
    this.intervalChosen = true;
    this.setInterval(interval);
  }

  private setInterval(interval: BarInterval): void {
    this.interval = interval;
    this.head.pressInterval(interval);
    this.beginBars();
  }

  private beginBars(): void {
    const { row } = this.desk;
    if (row === undefined) return;
    this.chart.begin(row.definition, BAR_SECONDS[this.interval]);
    this.feed.followBars(row.definition.symbol, this.interval);
    void this.loadBars();
    this.painter.mark(this.chart);
  }

  private async loadBars(): Promise<void> {
    const { interval } = this;
    const symbol = this.desk.chosen;
    if (symbol === undefined) return;
    let isFirst = true;
    for await (const bars of this.pastBars.pages(symbol, interval)) {
      if (symbol !== this.desk.chosen || interval !== this.interval) return;
      const isYoung = isFirst && bars.length < YOUNG_BARS;
      if (isYoung && !this.intervalChosen && interval === '1m') return this.setInterval('1s');
      isFirst = false;
      this.chart.fill(bars);
      this.painter.mark(this.chart);
    }
  }

  private async loadTrades(symbol: string): Promise<void> {
    const query = { limit: TRADES };
    const answer = await fetchTrades(this.url, symbol, query, this.key.value).catch(() => null);
    if (answer === null) return;
    this.desk.fillTrades(symbol, answer.trades);
    this.painter.mark(this.tape);
  }

  // ── what is shown ───────────────────────────────────────────────────────────────────────────

  private ladderSource() {
    const { row } = this.desk;
    const { past } = this.travel;
    const definition = row?.definition;
    if (past !== undefined) {
      return { definition, book: past.book, note: moment(this.travel.shownTime()).slice(11) };
    }
    const book = definition && this.feed.client?.book(definition.symbol);
    return { definition, book, note: '' };
  }

  private tapeSource() {
    const { row, trades, tapeGap } = this.desk;
    const { past } = this.travel;
    const definition = row?.definition;
    if (past !== undefined) return { definition, trades: past.trades, note: 'past' };
    return { definition, trades, note: tapeGap ?? '' };
  }

  private pastChanged(): void {
    const { past } = this.travel;
    document.body.classList.toggle('past', past !== undefined);
    this.chart.mark(past === undefined ? undefined : this.travel.shownTime().seconds);
    const { painter } = this;
    for (const view of [this.ladder, this.tape, this.chart, this.travelView]) painter.mark(view);
  }

  private serverNow(): Nanos {
    return this.clock.now().plus(Math.round((this.health.offsetMs ?? 0) * 1e6));
  }

  /** What changes by the passing of time alone. */
  private look(): void {
    const { feed, painter, travel } = this;
    this.health.count();
    if (feed.link.state === 'live') this.chooseFirst();
    if (feed.link.state === 'away') tellAway(this.notices, feed.link, this.clock.monotonicMs());
    if (travel.playing) this.pastChanged();
    byId('forget').hidden = this.key.value === undefined && this.own.access !== 'key';
    for (const view of [this.strip, this.list, this.travelView]) painter.mark(view);
  }

  private markAll(): void {
    const { list, head, ladder, tape, chart, strip, order, travelView } = this;
    for (const view of [list, head, ladder, tape, chart, strip, order, travelView]) {
      this.painter.mark(view);
    }
  }
}
