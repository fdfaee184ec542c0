/**
 * Instruments that are defined by this server's operator, in its settings or over REST: decimals become
 * scaled integers, and what the market would not take is refused before its turn.
 */

import { fieldFault, type Fault } from '../../protocol/codes';
import {
  InstrumentSettingsSchema,
  type InstrumentSettings,
} from '../../protocol/instrument-settings';
import type { Instrument } from '../../protocol/messages';
import { isSymbol, parseDecimal } from '../../protocol/units';
import { StartFault } from '../base/start-fault';
import type { Definer } from '../gateway/rest/routes/instruments';
import type { MarketOutput } from '../market/output';
import type { Recorder } from './recorder';
import { filled } from '../config/settings-check';

/** A price that no setting bounds may be as large as integers stay exact, with room for sums. */
const PRICE_MAX = 2 ** 50;
/** An order that no setting bounds may be half of what one owner may have open on a side. */
const QUANTITY_MAX = 2 ** 48;

/** @param known as it is defined already; what a venue's setting leaves out of its bounds stays as it is */
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

/** What the settings name, if all of it may be defined. */
export function definitionsOf(
  { market }: Recorder,
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

/** What an operator does to instruments over REST. */
export function definerOf(recorder: Recorder, queries: Pick<Definer, 'instrument'>): Definer {
  return {
    define: (fields) => defineInstrument(recorder, fields),
    instrument: (symbol) => queries.instrument(symbol),
    renumber: (symbol) => renumberInstrument(recorder, symbol),
    delete: (symbol) => deleteInstrument(recorder, symbol),
  };
}

/**
 * Defines an instrument while the server runs; the same one again changes nothing.
 * @param fields as under `[[instruments]]`, for whoever may do so
 * @returns its symbol, when the journal has it
 */
async function defineInstrument(
  { market, sequencer }: Recorder,
  fields: unknown,
): Promise<string | Fault> {
  const setting = filled(InstrumentSettingsSchema, fields);
  if ('code' in setting) return setting;
  const definition = definitionOf(setting, market.get(setting.symbol)?.definition);
  if ('code' in definition) return definition;
  const refused = sequencer.refusal();
  if (refused !== undefined) return refused;
  let wrong: Fault | undefined;
  return await new Promise((resolve) => {
    sequencer.act(
      (out) => {
        wrong = market.checkOwn([definition])?.fault;
        if (wrong === undefined) market.define(definition, out);
      },
      () => resolve(wrong ?? definition.symbol),
    );
  });
}

/**
 * The numbers of a symbol's source begin anew, as if the source had said so.
 * @returns the newest seq, when the journal has what became of it
 */
function renumberInstrument(
  { market, sequencer }: Recorder,
  symbol: string,
): Promise<number | Fault> {
  return inTurn(sequencer, (out) => market.renumber(symbol, out));
}

/**
 * Deletes a fed instrument: it counts as not there, but for its past.
 * @returns the newest seq, when the journal has what became of it
 */
function deleteInstrument(
  { market, sequencer }: Recorder,
  symbol: string,
): Promise<number | Fault> {
  return inTurn(sequencer, (out) => market.delete(symbol, out));
}

/** @returns why it was refused; else the newest seq, when the journal has what it did */
function inTurn(
  sequencer: Recorder['sequencer'],
  act: (out: MarketOutput) => Fault | undefined,
): Promise<number | Fault> {
  const refused = sequencer.refusal();
  if (refused !== undefined) return Promise.resolve(refused);
  let wrong: Fault | undefined;
  let seq = 0;
  return new Promise((resolve) => {
    sequencer.act(
      (out) => {
        wrong = act(out);
        seq = sequencer.lastSeq;
      },
      () => resolve(wrong ?? seq),
    );
  });
}
