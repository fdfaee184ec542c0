/**
 * Instruments that the operator defines, in the settings or over REST: decimals become scaled integers, and a
 * definition that the market would not take is refused.
 */

import { fieldFault, type Fault } from '../../protocol/codes';
import {
  InstrumentSettingsSchema,
  type InstrumentSettings,
} from '../../protocol/instrument-settings';
import type { Instrument } from '../../protocol/messages';
import { isSymbol, parseDecimal } from '../../protocol/units';
import { StartFault } from '../base/start-fault';
import type { InstrumentAdministration } from '../base/contracts/core';
import { filled } from '../config/settings-check';
import { inTurn, type LocalMarket } from './local-market';

/** The largest price if no setting bounds it: integers stay exact, with room for sums. */
const PRICE_MAX = 2 ** 50;
/** The largest order if no setting bounds it: half of what one owner may have open on a side. */
const QUANTITY_MAX = 2 ** 48;

/** @param known the present definition; bounds of a venue that the setting leaves out keep their present values */
export function definitionOf(setting: InstrumentSettings, known?: Instrument): Instrument | Fault {
  const { symbol, market, priceScale, quantityScale } = setting;
  if (!isSymbol(symbol)) {
    return fieldFault('symbol', symbol, '1 to 16 letters, digits, dots, dashes or underscores');
  }
  const faults: Fault[] = [];
  const read = (name: DecimalSetting, scale: number, otherwise: number): number => {
    const text = setting[name];
    if (text === undefined) return otherwise;
    const value = parseDecimal(text, scale);
    if (typeof value === 'number' && value > 0) return value;
    faults.push(fieldFault(name, text, `a decimal above 0 with at most ${scale} decimals`));
    return otherwise;
  };
  const priceIncrement = read('priceIncrement', priceScale, 1);
  const quantityIncrement = read('quantityIncrement', quantityScale, 1);
  const previousClose =
    setting.previousClose === undefined ? null : read('previousClose', priceScale, 1);
  const quantityMin = read('quantityMin', quantityScale, quantityIncrement);
  const largest = known?.rules?.quantityMax ?? Math.max(QUANTITY_MAX, quantityMin);
  const quantityMax = read('quantityMax', quantityScale, largest);
  const priceMin = read('priceMin', priceScale, priceIncrement);
  const priceMax = read('priceMax', priceScale, PRICE_MAX);
  if (faults[0] !== undefined) return faults[0];
  if (quantityMin > quantityMax) {
    return fieldFault('quantityMin', setting.quantityMin, 'at most quantityMax');
  }
  if (priceMin > priceMax) return fieldFault('priceMin', setting.priceMin, 'at most priceMax');
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
    shard: null,
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

/** The definitions of all instruments of the settings, or why one of them is refused. */
export function definitionsOf(
  { market }: Pick<LocalMarket, 'market'>,
  named: readonly InstrumentSettings[],
): Instrument[] | StartFault {
  const wrong = (symbol: string, { message }: Fault): StartFault =>
    new StartFault(
      'bad-config',
      `the instrument ${symbol}: ${message}`,
      'Correct it under [[instruments]].',
    );
  const definitions: Instrument[] = [];
  for (const setting of named) {
    const definition = definitionOf(setting, market.get(setting.symbol)?.definition);
    if ('code' in definition) return wrong(setting.symbol, definition);
    definitions.push(definition);
  }
  const refused = market.checkOwn(definitions);
  return refused === undefined ? definitions : wrong(named[refused.index]!.symbol, refused.fault);
}

/** What operators do to the instruments of this process while it runs. */
export function administrationOf(local: LocalMarket): InstrumentAdministration {
  const { market } = local;
  return {
    define: (fields) => defineInstrument(local, fields),
    renumber: (symbol) => inTurn(local, (out) => market.renumber(symbol, out)),
    delete: (symbol) => inTurn(local, (out) => market.delete(symbol, out)),
  };
}

/** Defines an instrument; the same definition again changes nothing. */
async function defineInstrument(local: LocalMarket, fields: unknown): Promise<string | Fault> {
  const { market } = local;
  const setting = filled(InstrumentSettingsSchema, fields);
  if ('code' in setting) return setting;
  const definition = definitionOf(setting, market.get(setting.symbol)?.definition);
  if ('code' in definition) return definition;
  const defined = await inTurn(local, (out) => {
    const wrong = market.checkOwn([definition])?.fault;
    if (wrong === undefined) market.define(definition, out);
    return wrong;
  });
  return typeof defined === 'number' ? definition.symbol : defined;
}
