/**
 * The table of routes in src/docs/reference/rest.md, generated from the declarations of the routes. Run this file
 * to write it: `bun test/support/rest-table.ts`, then Prettier. A test compares the document with it.
 */

import { parametersOf } from '../../src/gateway/rest/openapi';
import type { Route } from '../../src/gateway/rest/route';
import { GROUPS } from '../../src/gateway/rest/routes/groups';

const DOCUMENT = `${import.meta.dir}/../../src/docs/reference/rest.md`;
const START = '<!-- routes:begin -->';
const END = '<!-- routes:end -->';

/** Markdown, one row for each route. */
export function routeTable(): string {
  const rows = GROUPS.flatMap(({ routes }) => routes).map(
    (route) => `| \`${requestOf(route)}\` | ${route.role ?? ''} | ${route.summary} |`,
  );
  return ['| route | role | gives |', '| --- | --- | --- |', ...rows].join('\n');
}

function requestOf(route: Route<never>): string {
  const query = parametersOf(route)
    .filter((parameter) => parameter.in === 'query')
    .map(({ name }) => `${name}=`)
    .join('&');
  return `${route.method} ${route.path}${query === '' ? '' : `?${query}`}`;
}

/** The document with this table between its markers. @throws Error when a marker is missing */
export function withTable(document: string, table: string): string {
  const [from, to] = [document.indexOf(START), document.indexOf(END)];
  if (from < 0 || to < from) throw new Error('rest.md has no markers of routes');
  return `${document.slice(0, from + START.length)}\n\n${table}\n\n${document.slice(to)}`;
}

if (import.meta.main) {
  await Bun.write(DOCUMENT, withTable(await Bun.file(DOCUMENT).text(), routeTable()));
}
