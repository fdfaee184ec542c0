/**
 * Members: finds members of a JSON object that no field reads. Someone who wrote `timeinforce` meant something by it,
 * and must not get an order without it.
 *
 * For REST bodies. On the stream unknown members are ignored, since a later version may send them [W7].
 */

import { fault, type Fault } from '../../protocol/codes';
import type { Fields, FieldSpec } from '../../protocol/fields';
import { messageByType } from '../../protocol/messages';
import { nearest } from './nearest';

const FIELD_LENGTH_MAX = 80;

/** The first member at any depth that the fields do not name. A value that is no object is not checked here. */
export function unknownMember(value: unknown, fields: Fields, path = ''): Fault | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const known = Object.keys(fields);
  const prefix = path === '' ? '' : `${path}.`;
  for (const [name, inner] of Object.entries(value)) {
    if (!Object.hasOwn(fields, name)) return unknownName(name, known, prefix);
    const wrong = within(inner, fields[name]!.spec, prefix + name);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

/** The same for a message, which has a `type` besides its fields; an unknown type has no fields. */
export function unknownMessageMember(value: unknown, path = ''): Fault | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { type, ...members } = value as Record<string, unknown>;
  const def = typeof type === 'string' ? messageByType(type) : undefined;
  return def === undefined ? undefined : unknownMember(members, def.fields, path);
}

/** @param known the valid names, at least one @param prefix path of the member's parent */
export function unknownName(name: string, known: readonly string[], prefix = ''): Fault {
  const field = prefix + name.slice(0, FIELD_LENGTH_MAX).toWellFormed();
  const message = `${field} is no known field; the nearest is ${nearest(name, known)}`;
  return fault('invalid-field', message, field);
}

function within(value: unknown, spec: FieldSpec, path: string): Fault | undefined {
  switch (spec.type) {
    case 'nullable':
      return within(value, spec.inner.spec, path);
    case 'struct':
      return unknownMember(value, spec.fields, path);
    case 'list':
      return ofItems(value, path, (item, at) => within(item, spec.item.spec, at));
    case 'messages':
      return ofItems(value, path, unknownMessageMember);
    default:
      return undefined;
  }
}

function ofItems(
  value: unknown,
  path: string,
  check: (item: unknown, at: string) => Fault | undefined,
): Fault | undefined {
  if (!Array.isArray(value)) return undefined;
  for (const [i, item] of value.entries()) {
    const wrong = check(item, `${path}[${i}]`);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}
