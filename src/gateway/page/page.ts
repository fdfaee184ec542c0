/**
 * Page: creates state, stream and views and connects them. What arrives updates the state and marks the
 * views that display it. The painter paints the marked views once per frame.
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
import { ClusterView } from './cluster-view';
import { ChartView } from './chart-view';
import { MarketState } from './market-state';
import { byId, Cell } from './dom';
import { LiveStream, type Link, type Part } from './live-stream';
import { GateView } from './gate-view';
import { HeadView } from './head-view';
import { Health } from './health';
import { HealthView } from './health-view';
import { LadderView } from './ladder-view';
import { ListView } from './list-view';
import { showAway, showClockOff, showHistoryFailed } from './server-notices';
import { Notices } from './notices';
import { OrderView } from './order-view';
import { OwnOrders } from './own-orders';
import { Painter, type View } from './painter';
import { PastBars } from './past-bars';
import { PastFigures } from './past-figures';
import { Displayed } from './displayed';
import { TabKey } from './tab-key';
import { TapeView } from './tape-view';
import { TimeTravel } from './time-travel';
import { TravelView } from './travel-view';

const YOUNG_BARS = 5;
const TRADES = 80;
const LOOK_EVERY_MS = 250;

/** Settings that the server sends with the page. */
export interface PageSettings {
  readonly trading: 'open' | 'none';
  /** End of a trading session, in seconds after midnight UTC. */
  readonly sessionBoundary: number;
}

export class Page {
  readonly list: ListView;
  readonly order: OrderView;
  readonly travelView: TravelView;
  private readonly clock = new SystemClock();
  private readonly painter = new Painter();
  private readonly market = new MarketState();
  private readonly health = new Health(this.clock);
  private readonly notices = new Notices(byId('notice'));
  private readonly addressed = new Addressed(this.market, this.notices);
  /** The key with which the page reads, if reading needs one. */
  private readonly key = new TabKey('tapedeck.read');
  private readonly pastBars: PastBars;
  private readonly chartData: ChartData;
  private readonly displayed: Displayed;
  private readonly gate: GateView;
  private readonly stream: LiveStream;
  private readonly travel: TimeTravel;
  private readonly own: OwnOrders;
  private readonly head: HeadView;
  private readonly ladder: LadderView;
  private readonly tape: TapeView;
  private readonly chart: ChartView;
  private readonly strip: HealthView;
  private readonly cluster: ClusterView;
  private readonly url: string;
  private interval: BarInterval = '1m';
  /** Whether a notice says that a part is not served. */
  private isRefused = false;
  /** Whether the user chose the interval. Before that, a young market is displayed in bars of one second. */
  private intervalChosen = false;

  constructor(url: string, { trading, sessionBoundary }: PageSettings) {
    this.url = url;
    const { market, health, clock, painter } = this;
    this.pastBars = new PastBars(url, this.key);
    this.chartData = new ChartData(this.pastBars, clock, {
      changed: () => painter.mark(this.chart),
      isShort: (bars) => this.isShort(bars),
      failed: (error) => showHistoryFailed(this.notices, error),
    });
    this.stream = this.newStream();
    this.gate = new GateView(byId('gate') as HTMLDialogElement, (key) => this.stream.unlock(key));
    const client = () => this.stream.client;
    const key = () => this.key.value;
    const now = (): Nanos => this.serverNow();
    const definition = (): Instrument | undefined => market.row?.definition;
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
    this.displayed = new Displayed(market, this.travel, this.chartData, client);
    this.list = this.newList();
    this.head = new HeadView(
      byId('head'),
      () => this.displayed.head(),
      (interval) => this.chooseInterval(interval),
    );
    this.ladder = this.newLadder();
    this.tape = this.newTape();
    this.chart = this.newChart();
    this.strip = new HealthView(byId('health'), health, clock, () => this.stream.link);
    this.cluster = new ClusterView(byId('cluster'), url, this.key);
    this.order = this.newOrder();
    this.travelView = this.newTravelView();
  }

  private newStream(): LiveStream {
    const { health } = this;
    return new LiveStream(this.url, this.clock, this.key, {
      link: (link) => this.linked(link),
      instrument: (definition) => this.defined(definition),
      item: (item, part) => this.take(item, part),
      execution: (execution) => this.own.sharesPage && this.own.take(execution),
      clock: (answer) => {
        health.ping(answer);
        showClockOff(this.notices, health.offsetMs ?? 0);
      },
      ready: (part) => this.ready(part),
      refused: (part, error) => this.refused(part, error),
    });
  }

  private newList(): ListView {
    const { market, health, painter } = this;
    return new ListView(
      byId('list'),
      market,
      health,
      (symbol) => this.choose(symbol),
      () => painter.mark(this.list),
    );
  }

  private newTravelView(): TravelView {
    const { market } = this;
    return new TravelView(byId('travel'), this.travel, {
      now: () => this.serverNow(),
      first: () => (market.chosen === undefined ? undefined : this.pastBars.first(market.chosen)),
    });
  }

  private newLadder(): LadderView {
    return new LadderView(
      byId('ladder'),
      new Cell(byId('book-place')),
      () => this.displayed.ladder(),
      (price) => this.order.pick(price),
    );
  }

  private newTape(): TapeView {
    return new TapeView(
      byId('tape'),
      new Cell(byId('tape-note')),
      () => this.displayed.tape(),
      () => this.painter.mark(this.tape),
    );
  }

  private newChart(): ChartView {
    return new ChartView(byId('chart'), byId('moment'), () => this.displayed.chart(), {
      changed: () => this.painter.mark(this.chart),
      more: () => this.chartData.more(),
    });
  }

  private newOrder(): OrderView {
    return new OrderView(byId('orders'), new Cell(byId('order-note')), this.own, {
      definition: () => this.market.row?.definition,
      last: () => this.displayed.last,
      isLive: () => this.stream.link.state === 'live',
      isPast: () => this.travel.past !== undefined,
    });
  }

  /** @param symbol the symbol in the URL, if there is one */
  start(symbol: string | undefined): void {
    this.addressed.want(symbol);
    this.head.pressInterval(this.interval);
    setInterval(() => this.look(), LOOK_EVERY_MS);
    this.stream.start();
    this.look();
  }

  /** Displays an instrument; a notice says so if it does not exist. */
  choose(symbol: string): void {
    if (!this.market.rows.has(symbol)) {
      this.addressed.want(symbol);
      return;
    }
    this.addressed.found();
    this.show(symbol);
  }

  /** The page requests a key and accepts no other input. */
  get isLocked(): boolean {
    return this.gate.isOpen;
  }

  /** Removes all stored keys, and reloads the page to remove what was displayed with them. */
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

  /** The page is visible again. */
  wake(): void {
    this.stream.wake();
    this.markAll();
  }

  // ── incoming data ───────────────────────────────────────────────────────────────────────────

  private linked(link: Link): void {
    document.body.classList.toggle('away', link.state !== 'live');
    if (link.state === 'live') {
      this.market.connected();
      this.cluster.connected();
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
    if (this.market.define(definition)) this.list.resort();
    byId('empty').hidden = true;
    if (definition.symbol === this.addressed.wanted) this.choose(definition.symbol);
    this.painter.mark(this.list);
    this.painter.mark(this.order);
  }

  /** The server has sent all its definitions. */
  private listed(): void {
    this.addressed.complete = true;
    this.list.setComplete();
    byId('empty').hidden = this.market.rows.size > 0;
    this.chooseFirst();
    this.addressed.tell();
    this.painter.mark(this.list);
  }

  private take(item: Item, part: Part): void {
    const { painter, market } = this;
    this.health.take(item, this.stream.isNews(item));
    if (part === 'all') {
      market.takeOverview(item);
      if (item.type === 'reset') this.list.resort();
      painter.mark(this.list);
      if (item.type !== 'reset' && item.type !== 'gap' && item.symbol === market.chosen) {
        painter.mark(this.head);
        if (item.type === 'status') painter.mark(this.ladder);
        if (item.type === 'tick') painter.mark(this.chart);
      }
      this.chooseFirst();
    } else if (part === 'bars') {
      this.takeBar(item);
    } else {
      market.takeChosen(item);
      if (item.type === 'reset' && market.chosen !== undefined) void this.loadTrades(market.chosen);
      painter.mark(
        item.type === 'book' ? this.ladder : item.type === 'stats' ? this.head : this.tape,
      );
      if (item.type === 'reset') painter.mark(this.ladder);
    }
  }

  private takeBar(item: Item): void {
    const { row } = this.market;
    if (item.type === 'bar' && row !== undefined) this.chartData.take(item, row.definition);
    // Missed bars are not sent again; they are requested from history.
    else if (item.type === 'reset' || item.type === 'gap') this.chartData.broken();
    this.painter.mark(this.chart);
  }

  private ready(part: Part): void {
    if (this.isRefused) this.notices.clear('symbol');
    this.isRefused = false;
    if (part === 'all') this.listed();
  }

  private refused(part: Part, error: TapedeckError): void {
    if (error.code === 'closed') return;
    this.isRefused = true;
    const what = part === 'all' ? 'the list of instruments' : (this.market.chosen ?? part);
    this.notices.show('symbol', `The server does not serve ${what}: ${error.message}.`);
  }

  // ── the chosen instrument ───────────────────────────────────────────────────────────────────

  /** If the instrument in the URL does not exist, a notice says so and another one is displayed. */
  private chooseFirst(): void {
    const { first } = this.list;
    if (this.market.chosen !== undefined || first === undefined) return;
    if (!this.addressed.mayBeAnother) return;
    this.show(first);
    this.addressed.tell();
  }

  private show(symbol: string): void {
    if (symbol === this.market.chosen) return;
    const at = this.travel.past && this.travel.displayedTime();
    this.market.choose(symbol);
    this.stream.follow(symbol);
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
    const { row } = this.market;
    if (row === undefined) return;
    const { symbol } = row.definition;
    this.chartData.begin(symbol, this.interval);
    this.stream.followBars(symbol, this.interval);
    this.painter.mark(this.chart);
  }

  /** A young market is displayed in bars of one second. */
  private isShort(bars: number): boolean {
    if (bars >= YOUNG_BARS || this.intervalChosen || this.interval !== '1m') return false;
    this.setInterval('1s');
    return true;
  }

  private async loadTrades(symbol: string): Promise<void> {
    const query = { limit: TRADES };
    const answer = await fetchTrades(this.url, symbol, query, this.key.value).catch(() => null);
    if (answer === null) return;
    this.market.fillTrades(symbol, answer.trades);
    this.painter.mark(this.tape);
  }

  // ── the displayed time ──────────────────────────────────────────────────────────────────────

  private pastChanged(): void {
    const { past } = this.travel;
    const { definition } = this.displayed;
    document.body.classList.toggle('past', past !== undefined);
    if (past === undefined) this.chartData.live();
    else if (past.candle?.interval === this.interval && definition !== undefined) {
      this.chartData.setTime(past.candle, definition);
    }
    for (const view of this.timeViews) this.painter.mark(view);
  }

  /** The views that display the present or a past time. */
  private get timeViews(): View[] {
    const { head, ladder, tape, chart, order, travelView } = this;
    return [head, ladder, tape, chart, order, travelView];
  }

  private serverNow(): Nanos {
    return this.clock.now().plus(Math.round((this.health.offsetMs ?? 0) * 1e6));
  }

  /** Updates what changes with time only. */
  private look(): void {
    const { stream, painter, travel } = this;
    this.health.count();
    if (stream.link.state === 'live') {
      this.chooseFirst();
      this.cluster.look(this.clock.monotonicMs());
    }
    if (stream.link.state === 'away') showAway(this.notices, stream.link, this.clock.monotonicMs());
    if (travel.playing) this.pastChanged();
    byId('forget').hidden = this.key.value === undefined && this.own.access !== 'key';
    for (const view of [this.strip, this.list, this.travelView]) painter.mark(view);
  }

  private markAll(): void {
    const { list, strip } = this;
    for (const view of [list, strip, ...this.timeViews]) this.painter.mark(view);
  }
}
