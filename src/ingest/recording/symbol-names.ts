/** Symbol names: maps names of the recording to symbols of Tapedeck. */

import { shown } from '../../../protocol/codes';
import { isSymbol } from '../../../protocol/units';
import type { LineFault } from './faults';

export class SymbolNames {
  private readonly given: ReadonlyMap<string, string>;

  /** @param given renames given by the caller */
  constructor(given: ReadonlyMap<string, string> = new Map()) {
    this.given = given;
  }

  /** The symbol, or why the name cannot be one; that costs only the lines with this name. */
  of(name: string, field: string): string | LineFault {
    const symbol = this.given.get(name) ?? name;
    if (isSymbol(symbol)) return symbol;
    const message = `${field} is ${shown(name)}, which cannot be a symbol; its lines are left out, unless --symbol NAME=SYMBOL gives it another`;
    return { code: 'unusable-symbol', field, message, name };
  }
}
