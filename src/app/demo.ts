/** Demo: the simulated markets as settings and as a flow of orders into a running server. */

import type { Clock } from '../base/clock';
import { Prng } from '../base/prng';
import type { Config, ConfiguredInstrument, Loaded } from '../config/config';
import { SIMULATED_MARKETS, type SimulatedMarket } from '../ingest/simulator/markets';
import { Simulator } from '../ingest/simulator/simulator';
import { isSimulated, Trader, type Venue } from '../ingest/simulator/trader';
import type { Server } from './server';

/** What a demo keeps of its journal, in bytes, where the settings do not say: some hours of it. */
const RETENTION_BYTES = 1_073_741_824;

/**
 * The settings of a demo: with its instruments, and with a bound on its journal, which would otherwise
 * grow for as long as somebody leaves it running.
 */
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

/** Where a market begins that the settings name without a previous close, in price increments. */
const START_INCREMENTS = 10_000;

/**
 * Starts the flow; the function that it returns ends it. An instrument that the settings name as
 * fed gets none: no order may enter it.
 */
export function startDemo(server: Server, config: Config, clock: Clock): () => void {
  const { ordersPerSecond, seed } = config.demo;
  const { market } = server;
  const flowOf = (simulated: SimulatedMarket, i: number) => {
    const { symbol, pace } = simulated;
    const instrument = market.get(symbol)!;
    const { market: kind, priceIncrement, quantityIncrement } = instrument.definition;
    if (kind === 'feed') return [];
    const price = instrument.currentTick()?.last ?? priceIncrement * START_INCREMENTS;
    const scales = { priceIncrement, quantityIncrement, price };
    const resting = market.router.restingOrders(symbol).filter(({ owner }) => isSimulated(owner));
    const trader = new Trader(simulated, scales, new Prng(seed * 1_000 + i), resting);
    return [{ trader, pace }];
  };
  const flows = SIMULATED_MARKETS.flatMap(flowOf);
  const simulator = new Simulator(flows, ordersPerSecond, new Prng(seed));
  return simulator.run(clock, (act, done) => {
    server.act((out) => {
      const venue: Venue = {
        submit: (owner, order) => {
          const done = market.router.submit(owner, order, out);
          return 'code' in done ? 0 : done.orderId;
        },
        cancel: (owner, orderId) => {
          // It may have traded in the meantime; then there is nothing to cancel.
          market.router.cancel(owner, { symbol: null, orderId, clientOrderId: null }, out);
        },
      };
      act(venue);
    }, done);
  });
}
