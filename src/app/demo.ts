/** Demo: the simulated markets as settings, and as a source of orders. */

import type { Clock } from '../base/clock';
import type { IngestSource, IngestStatus } from '../base/contracts/ingest';
import { Prng } from '../base/prng';
import type { Config, ConfiguredInstrument, Loaded } from '../config/config';
import { SIMULATED_MARKETS, type SimulatedMarket } from '../ingest/simulator/markets';
import { Simulator, type SimulatedFlow } from '../ingest/simulator/simulator';
import { isSimulated, Trader, type Venue } from '../ingest/simulator/trader';
import type { Market } from '../market/market';
import type { MarketOutput } from '../market/output';
import type { LocalMarket } from './local-market';

/** How many bytes of its journal a demo keeps if the settings do not say: some hours. */
const RETENTION_BYTES = 1_073_741_824;

/** The settings of a demo: with its instruments, and with a bound on its journal, which would otherwise grow without end. */
export function demoSettings({ config, from }: Loaded): Config {
  const { journal } = config;
  const isBounded = ['hours', 'bytes'].some((name) => from.has(`journal.retention.${name}`));
  if (isBounded) return withDemoInstruments(config);
  const retention = { ...journal.retention, bytes: RETENTION_BYTES };
  return withDemoInstruments({ ...config, journal: { ...journal, retention } });
}

/** The settings with the instruments of the demo, where they do not name them already. */
export function withDemoInstruments(config: Config): Config {
  const named = new Set(config.instruments.map(({ symbol }) => symbol));
  const added = SIMULATED_MARKETS.filter(({ symbol }) => !named.has(symbol)).map(
    (m): ConfiguredInstrument => ({
      symbol: m.symbol,
      market: 'venue',
      priceScale: m.priceScale,
      quantityScale: m.quantityScale,
      priceIncrement: m.priceIncrement,
      quantityIncrement: m.quantityIncrement,
      previousClose: m.previousClose,
      ordersPerOwnerMax: 100_000,
      ordersMax: 1_000_000,
      selfTrade: 'cancel-newest',
      initialState: 'open',
    }),
  );
  return { ...config, instruments: [...config.instruments, ...added] };
}

/** The price, in increments, at which a market begins if the settings name it without a previous close. */
const START_INCREMENTS = 10_000;

/** The simulated flow of orders into a market. It skips instruments that the settings define as feeds. */
export class DemoSource implements IngestSource {
  readonly name = 'simulator';
  private readonly local: LocalMarket;
  private readonly config: Config;
  private readonly clock: Clock;
  private state: IngestStatus['state'] = 'idle';
  private submitted = 0;
  private refused = 0;
  private lastMs: number | null = null;
  private stopTimer: () => void = () => {};
  /** Resolves when the step under way is in the journal. */
  private step: Promise<void> = Promise.resolve();

  constructor(local: LocalMarket, config: Config, clock: Clock) {
    this.local = local;
    this.config = config;
    this.clock = clock;
  }

  start(): void {
    const { ordersPerSecond, seed } = this.config.demo;
    const flows = SIMULATED_MARKETS.flatMap((simulated, i) => this.flowOf(simulated, i));
    const simulator = new Simulator(flows, ordersPerSecond, new Prng(seed));
    this.state = 'running';
    this.stopTimer = simulator.run(this.clock, (act, done) => this.inTurn(act, done));
  }

  stop(): Promise<void> {
    this.stopTimer();
    this.state = 'stopped';
    return this.step;
  }

  /** Counts orders, not cancels. */
  status(): IngestStatus {
    const { state, submitted, refused, lastMs } = this;
    const silentMs = lastMs === null ? null : this.clock.monotonicMs() - lastMs;
    return { state, reason: '', submitted, refused, silentMs };
  }

  private flowOf(simulated: SimulatedMarket, i: number): SimulatedFlow[] {
    const { market } = this.local;
    const { seed } = this.config.demo;
    const { symbol, pace } = simulated;
    const instrument = market.get(symbol)!;
    const { market: kind, priceIncrement, quantityIncrement } = instrument.definition;
    if (kind === 'feed') return [];
    const price = instrument.currentTick()?.last ?? priceIncrement * START_INCREMENTS;
    const scales = { priceIncrement, quantityIncrement, price };
    const resting = market.router.restingOrders(symbol).filter(({ owner }) => isSimulated(owner));
    const trader = new Trader(simulated, scales, new Prng(seed * 1_000 + i), resting);
    return [{ trader, pace }];
  }

  /** Has the simulator act in a turn of the sequencer. @param done called when its orders are in the journal */
  private inTurn(act: (venue: Venue) => void, done: () => void): void {
    const { market, sequencer } = this.local;
    this.lastMs = this.clock.monotonicMs();
    this.step = new Promise((resolve) => {
      const journaled = (): void => {
        done();
        resolve();
      };
      sequencer.act((out) => act(this.venue(market, out)), journaled);
    });
  }

  private venue({ router }: Market, out: MarketOutput): Venue {
    return {
      submit: (owner, order) => {
        const done = router.submit(owner, order, out);
        this.submitted += 1;
        if (!('code' in done)) return done.orderId;
        this.refused += 1;
        return 0;
      },
      cancel: (owner, orderId) => {
        // The order may have traded in the meantime; then there is nothing to cancel.
        router.cancel(owner, { symbol: null, orderId, clientOrderId: null }, out);
      },
    };
  }
}
