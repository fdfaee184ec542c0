/** API: the reference of the REST API, rendered from `/openapi.json` in the browser. */

import { byId, make } from './dom';

interface Described {
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly parameters: readonly {
    readonly name: string;
    readonly in: string;
    readonly description: string;
    readonly required: boolean;
    readonly example?: string | number;
  }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content: Content }>
  >;
}

type Content = Readonly<Record<string, { readonly example?: unknown }>>;

interface ApiDocument {
  readonly info: { readonly version: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
}

async function show(): Promise<void> {
  const answer = await fetch('/openapi.json');
  const api = (await answer.json()) as ApiDocument;
  byId('about').textContent = `Version ${api.info.version}. ${api.info.description} `;
  const sections = new Map<string, HTMLElement>();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags[0] ?? 'other';
      let section = sections.get(tag);
      if (section === undefined) {
        section = make('section', '', make('h2', '', tag));
        sections.set(tag, section);
      }
      section.append(entry(method, path, operation));
    }
  }
  byId('operations').append(...sections.values());
}

function entry(method: string, path: string, operation: Described): HTMLElement {
  const summary = make(
    'summary',
    '',
    make('b', '', method.toUpperCase()),
    make('code', '', path),
    make('span', 'what', operation.summary),
    make('span', 'role', operation.description ?? ''),
  );
  const inside = make('div', 'inside');
  if (operation.parameters.length > 0) inside.append(heading('Parameters'), parameters(operation));
  if (operation.requestBody !== undefined) {
    inside.append(heading('Body'), ...examples(operation.requestBody.content));
  }
  const errors = make('table');
  for (const [status, { description, content }] of Object.entries(operation.responses)) {
    if (status.startsWith('2')) inside.append(heading(`Answer ${status}`), ...examples(content));
    else errors.append(make('tr', '', make('td', '', status), make('td', 'muted', description)));
  }
  inside.append(heading('Errors'), errors);
  return make('details', '', summary, inside);
}

function parameters({ parameters: all }: Described): HTMLElement {
  const table = make('table');
  for (const { name, in: place, description, required, example } of all) {
    const note = example === undefined ? description : `${description}, such as ${example}`;
    const where = required ? place : `${place}, optional`;
    const code = make('code', '', name);
    table.append(
      make('tr', '', make('td', '', code), make('td', 'muted', where), make('td', '', note)),
    );
  }
  return table;
}

function examples(content: Content): HTMLElement[] {
  return Object.entries(content).map(([type, { example }]) => {
    if (example === undefined) return make('code', '', type);
    return make(
      'pre',
      '',
      typeof example === 'string' ? example : JSON.stringify(example, null, 2),
    );
  });
}

function heading(text: string): HTMLElement {
  return make('h3', '', text);
}

await show();
