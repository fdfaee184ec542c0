/** Instruments of the settings, as definitions: decimals become scaled integers, and are checked. */

import type { Instrument } from '../protocol/messages';
import { isSymbol, parseDecimal } from '../protocol/units';
import { StartFault } from './base/start-fault';
import type { InstrumentSettings } from './config';

/** What no setting says may be as large as integers stay exact, with room for sums. */
const LARGEST = 2 ** 50;

export function definitionOf(setting: InstrumentSettings): Instrument | StartFault {
  const { symbol, market, priceScale, quantityScale } = setting;
  if (!isSymbol(symbol)) {
    return wrong(symbol, 'symbol', symbol, '1 to 16 letters, digits, dots, dashes or underscores');
  }
  const faults: StartFault[] = [];
  const read = (name: DecimalSetting, scale: number, otherwise: number): number => {
    const text = setting[name];
    if (text === undefined) return otherwise;
    const value = parseDecimal(text, scale);
    if (typeof value === 'number' && value > 0) return value;
    faults.push(wrong(symbol, name, text, `a decimal above 0 with at most ${scale} decimals`));
    return otherwise;
  };
  const priceIncrement = read('priceIncrement', priceScale, 1);
  const quantityIncrement = read('quantityIncrement', quantityScale, 1);
  const previousClose =
    setting.previousClose === undefined ? null : read('previousClose', priceScale, 1);
  const quantityMin = read('quantityMin', quantityScale, quantityIncrement);
  const quantityMax = read('quantityMax', quantityScale, LARGEST);
  const priceMin = read('priceMin', priceScale, priceIncrement);
  const priceMax = read('priceMax', priceScale, LARGEST);
  if (faults[0] !== undefined) return faults[0];
  if (quantityMin > quantityMax) {
    return wrong(symbol, 'quantityMin', setting.quantityMin, 'at most quantityMax');
  }
  if (priceMin > priceMax) return wrong(symbol, 'priceMin', setting.priceMin, 'at most priceMax');
  const rules: NonNullable<Instrument['rules']> = {
    quantityMin,
    quantityMax,
    priceMin,
    priceMax,
    ordersPerOwnerMax: setting.ordersPerOwnerMax,
    ordersMax: setting.ordersMax,
    selfTrade: setting.selfTrade as NonNullable<Instrument['rules']>['selfTrade'],
    referencePrice: previousClose,
    initialState: setting.initialState as NonNullable<Instrument['rules']>['initialState'],
  };
  return {
    type: 'instrument',
    symbol,
    seq: 0,
    market,
    priceScale,
    quantityScale,
    priceIncrement,
    quantityIncrement,
    previousClose,
    rules: market === 'venue' ? rules : null,
  };
}

type DecimalSetting =
  | 'priceIncrement'
  | 'quantityIncrement'
  | 'previousClose'
  | 'quantityMin'
  | 'quantityMax'
  | 'priceMin'
  | 'priceMax';

function wrong(symbol: string, name: string, value: unknown, expected: string): StartFault {
  return new StartFault(
    'bad-config',
    `${name} of the instrument ${symbol} is ${JSON.stringify(value)}; expected ${expected}`,
    'Correct it under [[instruments]] in the config file.',
  );
}
