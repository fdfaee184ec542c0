/**
 * Settings check: checks a value that people wrote against its schema, and fills in the defaults. The fault names the
 * first wrong setting, its value and what was expected; for an unknown setting it names the nearest known one.
 */

import type { Static, TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

import { fault, fieldFault, type Fault } from '../../protocol/codes';
import { nearest } from '../base/nearest';

/** The value with defaults, or a fault `invalid-field` about the first wrong setting. */
export function filled<S extends TSchema>(schema: S, value: unknown): Static<S> | Fault {
  const unknown = unknownSetting(value, schema, '');
  if (unknown !== undefined) return unknown;
  const full = Value.Default(schema, structuredClone(value));
  const wrong = Value.Errors(schema, full).First();
  if (wrong === undefined) return full;
  const name = wrong.path.slice(1).replaceAll('/', '.');
  return fieldFault(name, wrong.value, expectation(wrong.schema));
}

function unknownSetting(value: unknown, schema: TSchema, path: string): Fault | undefined {
  // Checked here, since filling in the defaults would replace a value of the wrong type.
  if (schema['type'] === 'array') {
    const items = schema['items'] as TSchema;
    const sections = items['type'] === 'object' ? `: [[${path}]] in TOML` : '';
    if (!Array.isArray(value)) return fieldFault(path, value, `a list${sections}`);
    for (const [i, item] of value.entries()) {
      const wrong = unknownSetting(item, items, `${path}[${i}]`);
      if (wrong !== undefined) return wrong;
    }
  }
  if (schema['type'] !== 'object') return undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return fieldFault(path, value, `a section: [${path}] in TOML`);
  }
  const properties = schema['properties'] as Record<string, TSchema>;
  for (const [name, inner] of Object.entries(value)) {
    const at = path === '' ? name : `${path}.${name}`;
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (known === undefined) {
      const near = nearest(name, Object.keys(properties));
      const meant = path === '' ? near : `${path}.${near}`;
      return fault(
        'invalid-field',
        `there is no setting ${at}; the nearest known one is ${meant}`,
        at,
      );
    }
    const wrong = unknownSetting(inner, known, at);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function expectation(schema: TSchema): string {
  if (schema['type'] === 'integer') {
    return `an integer from ${schema['minimum'] as number} to ${schema['maximum'] as number}`;
  }
  const options = schema['anyOf'] as { const: string }[] | undefined;
  if (options !== undefined) return `one of ${options.map((o) => o.const).join(', ')}`;
  if (schema['pattern'] !== undefined) return `a string that fits ${String(schema['pattern'])}`;
  if (schema['type'] === 'string') {
    const least = (schema['minLength'] as number | undefined) ?? 0;
    return `a string of ${least} to ${(schema['maxLength'] as number | undefined) ?? 'any number of'} characters`;
  }
  if (schema['type'] === 'array') return `a list of at least ${String(schema['minItems'] ?? 0)}`;
  return `a value of type ${String(schema['type'])}`;
}
