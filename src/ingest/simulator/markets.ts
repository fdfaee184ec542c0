/**
 * The markets of the demo: instruments of different price scale and activity. The numbers look like those of real
 * markets, but are invented.
 */

export interface SimulatedMarket {
  readonly symbol: string;
  readonly priceScale: number;
  readonly quantityScale: number;
  /** Decimals. */
  readonly priceIncrement: string;
  readonly quantityIncrement: string;
  readonly previousClose: string;
  /** Weight in the flow of all orders. */
  readonly pace: number;
  /** Typical spread, and typical distance of a level from the best, in price increments. */
  readonly spreadTicks: number;
  readonly depthTicks: number;
  /** Median size of an order, in quantity increments. */
  readonly medianLots: number;
  /** Quiet volatility a minute, as a fraction of the price. */
  readonly volatility: number;
}

export const SIMULATED_MARKETS: readonly SimulatedMarket[] = [
  {
    symbol: 'BTC-USD',
    priceScale: 2,
    quantityScale: 5,
    priceIncrement: '0.50',
    quantityIncrement: '0.00010',
    previousClose: '64250.00',
    pace: 10,
    spreadTicks: 2,
    depthTicks: 14,
    medianLots: 300,
    volatility: 0.0006,
  },
  {
    symbol: 'ETH-USD',
    priceScale: 2,
    quantityScale: 4,
    priceIncrement: '0.05',
    quantityIncrement: '0.0010',
    previousClose: '3120.40',
    pace: 7,
    spreadTicks: 2,
    depthTicks: 12,
    medianLots: 400,
    volatility: 0.0008,
  },
  {
    symbol: 'EUR-USD',
    priceScale: 5,
    quantityScale: 0,
    priceIncrement: '0.00001',
    quantityIncrement: '1000',
    previousClose: '1.08435',
    pace: 8,
    spreadTicks: 3,
    depthTicks: 16,
    medianLots: 200,
    volatility: 0.00008,
  },
  {
    symbol: 'GOLD',
    priceScale: 2,
    quantityScale: 1,
    priceIncrement: '0.10',
    quantityIncrement: '0.1',
    previousClose: '2411.30',
    pace: 4,
    spreadTicks: 3,
    depthTicks: 10,
    medianLots: 25,
    volatility: 0.0003,
  },
  {
    symbol: 'ACME',
    priceScale: 2,
    quantityScale: 0,
    priceIncrement: '0.01',
    quantityIncrement: '1',
    previousClose: '187.42',
    pace: 3,
    spreadTicks: 2,
    depthTicks: 9,
    medianLots: 120,
    volatility: 0.0007,
  },
  {
    symbol: 'DUST-USD',
    priceScale: 8,
    quantityScale: 0,
    priceIncrement: '0.00000001',
    quantityIncrement: '100',
    previousClose: '0.00001873',
    pace: 1,
    spreadTicks: 4,
    depthTicks: 8,
    medianLots: 900,
    volatility: 0.002,
  },
];
