/** Routes: every documented REST route, for tests that go through all of them. */

import type { TSchema } from '@sinclair/typebox';

import { bodyOf, documented, parametersOf, type Parameter } from '../../src/gateway/rest/openapi';
import type { Answer } from '../../src/gateway/rest/route';
import { GROUPS } from '../../src/gateway/rest/routes/groups';

export interface Operation {
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly role: string | null;
  readonly parameters: readonly Parameter[];
  readonly body: { readonly schema: TSchema | null; readonly example: unknown } | null;
  readonly answer: Answer;
}

export const OPERATIONS: readonly Operation[] = documented(GROUPS).map((route) => {
  const { id, method, path, role, answer } = route;
  const body = bodyOf(route);
  return {
    id,
    method,
    path,
    role,
    parameters: parametersOf(route),
    body:
      body === undefined
        ? null
        : { schema: 'schema' in body ? body.schema : null, example: body.example },
    answer,
  };
});
