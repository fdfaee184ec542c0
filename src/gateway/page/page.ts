/**
 * Page: the map: state, feed and views are made here and joined. What comes goes into the state and
 * marks the views that show it; the painter paints those, once a frame.
 */

import type { BarInterval } from '../../../protocol/bars';
import { SystemClock } from '../../base/clock';
import {
  fetchTrades,
  Nanos,
  type Instrument,
  type Item,
  type TapedeckError,
} from '../../client/index';
import { Addressed, nameInAddress } from './addressed';
import { ChartData } from './chart-data';
import { ChartView } from './chart-view';
import { Desk } from './desk';
import { byId, Cell } from './dom';
import { Feed, type Link, type Part } from './feed';
import { GateView } from './gate-view';
import { HeadView } from './head-view';
import { Health } from './health';
import { HealthView } from './health-view';
import { LadderView } from './ladder-view';
import { ListView } from './list-view';
import { tellAway, tellClock, tellHistory } from './matters';
import { Notices } from './notices';
import { OrderView } from './order-view';
import { OwnOrders } from './own-orders';
import { Painter, type View } from './painter';
import { PastBars } from './past-bars';
import { PastFigures } from './past-figures';
import { Shown } from './shown';
import { TabKey } from './tab-key';
import { TapeView } from './tape-view';
import { TimeTravel } from './time-travel';
import { TravelView } from './travel-view';

const YOUNG_BARS = 5;
const TRADES = 80;
const LOOK_EVERY_MS = 250;

/** What the server says of itself with the page. */
export interface PageSettings {
  readonly trading: 'open' | 'none';
  /** When a trading session ends, in seconds after midnight UTC. */
  readonly sessionBoundary: number;
}

export class Page {
  readonly list: ListView;
  readonly order: OrderView;
  readonly travelView: TravelView;
  private readonly clock = new SystemClock();
  private readonly painter = new Painter();
  private readonly desk = new Desk();
  private readonly health = new Health(this.clock);
  private readonly notices = new Notices(byId('notice'));
  private readonly addressed = new Addressed(this.desk, this.notices);
  /** By which it reads, where that needs one. */
  private readonly key = new TabKey('tapedeck.read');
  private readonly pastBars: PastBars;
  private readonly chartData: ChartData;
  private readonly shown: Shown;
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

  constructor(url: string, { trading, sessionBoundary }: PageSettings) {
    this.url = url;
    const { desk, health, clock, painter } = this;
    this.pastBars = new PastBars(url, this.key);
    this.chartData = new ChartData(this.pastBars, clock, {
      changed: () => painter.mark(this.chart),
      isShort: (bars) => this.isShort(bars),
      failed: (error) => tellHistory(this.notices, error),
    });
    this.feed = new Feed(url, clock, this.key, {
      link: (link) => this.linked(link),
      instrument: (definition) => this.defined(definition),
      item: (item, part) => this.take(item, part),
      execution: (execution) => this.own.sharesPage && this.own.take(execution),
      clock: (answer) => {
        health.ping(answer);
        tellClock(this.notices, health.offsetMs ?? 0);
      },
      ready: (part) => part === 'all' && this.listed(),
      refused: (part, error) => this.refused(part, error),
    });
    this.gate = new GateView(byId('gate') as HTMLDialogElement, (key) => this.feed.unlock(key));
    const client = () => this.feed.client;
    const key = () => this.key.value;
    const now = (): Nanos => this.serverNow();
    const definition = (): Instrument | undefined => desk.row?.definition;
    this.own = new OwnOrders(
      {
        url,
        client,
        key,
        changed: () => painter.mark(this.order),
        failed: (why) => this.order.failed(why),
      },
      trading,
    );
    const figures = new PastFigures(url, this.key, this.pastBars, sessionBoundary);
    this.travel = new TimeTravel(
      {
        url,
        client,
        key,
        definition,
        interval: () => this.interval,
        now,
        changed: () => this.pastChanged(),
        sought: (at) => this.chartData.seek(at),
      },
      figures,
      clock,
    );
    const shown = new Shown(desk, this.travel, this.chartData, client);
    this.shown = shown;
    this.list = new ListView(
      byId('list'),
      desk,
      health,
      (symbol) => this.choose(symbol),
      () => painter.mark(this.list),
    );
    this.head = new HeadView(
      byId('head'),
      () => shown.head(),
      (interval) => this.chooseInterval(interval),
    );
    this.ladder = new LadderView(
      byId('ladder'),
      new Cell(byId('book-place')),
      () => shown.ladder(),
      (price) => this.order.pick(price),
    );
    this.tape = new TapeView(
      byId('tape'),
      new Cell(byId('tape-note')),
      () => shown.tape(),
      () => painter.mark(this.tape),
    );
    this.chart = new ChartView(byId('chart'), byId('moment'), () => shown.chart(), {
      changed: () => painter.mark(this.chart),
      more: () => this.chartData.more(),
    });
    this.strip = new HealthView(byId('health'), health, clock, () => this.feed.link);
    this.order = new OrderView(byId('orders'), new Cell(byId('order-note')), this.own, {
      definition,
      last: () => shown.last,
      isLive: () => this.feed.link.state === 'live',
      isPast: () => this.travel.past !== undefined,
    });
    this.travelView = new TravelView(byId('travel'), this.travel, {
      now,
      first: () => (desk.chosen === undefined ? undefined : this.pastBars.first(desk.chosen)),
    });
  }

  /** @param symbol that the address names, if it names one */
  start(symbol: string | undefined): void {
    this.addressed.want(symbol);
    this.head.pressInterval(this.interval);
    setInterval(() => this.look(), LOOK_EVERY_MS);
    this.feed.start();
    this.look();
  }

  /** Shows an instrument; one that is not there is said to be so. */
  choose(symbol: string): void {
    if (!this.desk.rows.has(symbol)) {
      this.addressed.want(symbol);
      return;
    }
    this.addressed.found();
    this.show(symbol);
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
    this.travelView.goLive();
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
    byId('empty').hidden = true;
    if (definition.symbol === this.addressed.wanted) this.choose(definition.symbol);
    this.painter.mark(this.list);
    this.painter.mark(this.order);
  }

  /** Every definition that the server had has come. */
  private listed(): void {
    this.addressed.complete = true;
    this.list.setComplete();
    byId('empty').hidden = this.desk.rows.size > 0;
    this.chooseFirst();
    this.addressed.tell();
    this.painter.mark(this.list);
  }

  private take(item: Item, part: Part): void {
    const { painter, desk } = this;
    this.health.take(item, this.feed.isNews(item));
    if (part === 'all') {
      desk.takeOverview(item);
      if (item.type === 'reset') this.list.resort();
      painter.mark(this.list);
      if (item.type !== 'reset' && item.type !== 'gap' && item.symbol === desk.chosen) {
        painter.mark(this.head);
        if (item.type === 'status') painter.mark(this.ladder);
        if (item.type === 'tick') painter.mark(this.chart);
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

  private takeBar(item: Item): void {
    const { row } = this.desk;
    if (item.type === 'bar' && row !== undefined) this.chartData.take(item, row.definition);
    // What lies between is not sent again: history has it.
    else if (item.type === 'reset' || item.type === 'gap') this.chartData.broken();
    this.painter.mark(this.chart);
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
    if (!this.addressed.mayBeAnother) return;
    this.show(first);
    this.addressed.tell();
  }

  private show(symbol: string): void {
    if (symbol === this.desk.chosen) return;
    const at = this.travel.past && this.travel.shownTime();
    this.desk.choose(symbol);
    this.feed.follow(symbol);
    this.beginBars();
    this.travelView.restart(at);
    this.notices.clear('history');
    nameInAddress(symbol);
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
    void this.travel.intervalChanged();
  }

  private beginBars(): void {
    const { row } = this.desk;
    if (row === undefined) return;
    const { symbol } = row.definition;
    this.chartData.begin(symbol, this.interval);
    this.feed.followBars(symbol, this.interval);
    this.painter.mark(this.chart);
  }

  /** A young market is shown by the second. */
  private isShort(bars: number): boolean {
    if (bars >= YOUNG_BARS || this.intervalChosen || this.interval !== '1m') return false;
    this.setInterval('1s');
    return true;
  }

  private async loadTrades(symbol: string): Promise<void> {
    const query = { limit: TRADES };
    const answer = await fetchTrades(this.url, symbol, query, this.key.value).catch(() => null);
    if (answer === null) return;
    this.desk.fillTrades(symbol, answer.trades);
    this.painter.mark(this.tape);
  }

  // ── what is shown ───────────────────────────────────────────────────────────────────────────

  private pastChanged(): void {
    const { past } = this.travel;
    const { definition } = this.shown;
    document.body.classList.toggle('past', past !== undefined);
    if (past === undefined) this.chartData.live();
    else if (past.candle?.interval === this.interval && definition !== undefined) {
      this.chartData.setMoment(past.candle, definition);
    }
    for (const view of this.momentViews) this.painter.mark(view);
  }

  /** Those that show a moment, present or past. */
  private get momentViews(): View[] {
    const { head, ladder, tape, chart, order, travelView } = this;
    return [head, ladder, tape, chart, order, travelView];
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
    const { list, strip } = this;
    for (const view of [list, strip, ...this.momentViews]) this.painter.mark(view);
  }
}
