/**
 * Page files: the pages at `/` and `/docs` with their scripts, styles and icon, and the documents below `/docs`.
 *
 * When the server runs from the sources, Bun bundles them at the first request; in a single executable they were
 * bundled when it was built. Each file is compressed once. A file whose name contains a hash never changes, so
 * browsers keep it; they request the page itself each time. The security policy lets the page load files from,
 * and connect to, this server only.
 */

import type { HTMLBundle } from 'bun';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { promisify } from 'node:util';

import { fault, type Fault } from '../../../protocol/codes';
import { hasDescriptors } from '../../base/descriptors';
import api from '../page/api.html';
import documentPage from '../page/document.html';
import page from '../page/index.html';
import type { Documents } from '../docs/documents';
import { errorResponse, SECURITY_HEADERS } from './responses';

interface PageFile {
  readonly type: string;
  readonly plain: Uint8Array<ArrayBuffer>;
  readonly brotli: Uint8Array<ArrayBuffer>;
  readonly gzip: Uint8Array<ArrayBuffer>;
}

interface Bundle {
  /** The page where trading needs no key, and where it does. */
  readonly front: { readonly open: PageFile; readonly key: PageFile };
  readonly docs: PageFile;
  /** What the page of a document is made from. */
  readonly template: string;
  readonly assets: ReadonlyMap<string, PageFile>;
}

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const PAGE_HEADERS = {
  'cache-control': 'no-cache',
  'content-security-policy': POLICY,
  'cross-origin-opener-policy': 'same-origin',
};

const HEADERS = { ...SECURITY_HEADERS, vary: 'accept-encoding' };

/** Bundling opens the sources and their folders. */
const BUNDLE_DESCRIPTORS = 128;

export class PageFiles {
  private readonly sessionBoundary: number;
  private readonly documents: Documents;
  private bundle: Promise<Bundle> | undefined;
  /** Pages of documents that were asked for, by path. Bounded: by the list of documents. */
  private readonly made = new Map<string, Promise<PageFile>>();

  /** @param sessionBoundary when a trading session ends, in seconds after midnight UTC */
  constructor(sessionBoundary: number, documents: Documents) {
    this.sessionBoundary = sessionBoundary;
    this.documents = documents;
  }

  /** @param mayTrade whether the client may trade without a key */
  async front(request: Request, mayTrade: boolean): Promise<Response> {
    const bundle = await this.ready();
    if ('code' in bundle) return errorResponse(bundle);
    const { open, key } = bundle.front;
    return answer(request, mayTrade ? open : key, PAGE_HEADERS);
  }

  async docs(request: Request): Promise<Response> {
    const bundle = await this.ready();
    return 'code' in bundle ? errorResponse(bundle) : answer(request, bundle.docs, PAGE_HEADERS);
  }

  /** @param path of the page of a document */
  async document(request: Request, path: string): Promise<Response> {
    if (!(await this.documents.has(path))) {
      return errorResponse(fault('not-found', `there is no GET ${path.slice(0, 100)}`));
    }
    const bundle = await this.ready();
    if ('code' in bundle) return errorResponse(bundle);
    let file = this.made.get(path);
    if (file === undefined) {
      file = this.documents.page(path, bundle.template).then(async (text) => written(text!));
      this.made.set(path, file);
      // The next request tries again.
      file.catch(() => this.made.delete(path));
    }
    return answer(request, await file, PAGE_HEADERS);
  }

  async asset(request: Request, name: string): Promise<Response> {
    const bundle = await this.ready();
    if ('code' in bundle) return errorResponse(bundle);
    const file = bundle.assets.get(name);
    if (file === undefined) {
      return errorResponse(fault('not-found', `there is no GET /assets/${name.slice(0, 100)}`));
    }
    return answer(request, file, { 'cache-control': 'public, max-age=31536000, immutable' });
  }

  private async ready(): Promise<Bundle | Fault> {
    // Bun remembers which folders it could not read, and would never bundle again.
    if (this.bundle === undefined && !hasDescriptors(BUNDLE_DESCRIPTORS)) {
      return fault('overloaded', 'descriptors have run out; the page cannot be made now');
    }
    this.bundle ??= makeBundle(this.sessionBoundary).catch((e: unknown) => {
      // The next request tries again.
      this.bundle = undefined;
      throw e;
    });
    return this.bundle;
  }
}

interface Built {
  readonly name: string;
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

async function makeBundle(sessionBoundary: number): Promise<Bundle> {
  const pages = [build(page), build(api), build(documentPage)] as const;
  const [front, apiPage, document] = await Promise.all(pages);
  const boundary = `data-session-boundary="${sessionBoundary}"`;
  const text = front.text.replace('data-session-boundary="0"', boundary);
  const open = text.replace('data-trading="key"', 'data-trading="open"');
  const assets = [...front.assets, ...apiPage.assets, ...document.assets];
  const made = await Promise.all(assets.map(async (a) => [a.name, await compress(a)] as const));
  return {
    front: { open: await written(open), key: await written(text) },
    docs: await written(apiPage.text),
    template: document.text,
    assets: new Map(made),
  };
}

function written(html: string): Promise<PageFile> {
  const bytes = new TextEncoder().encode(html);
  return compress({ name: '', type: 'text/html;charset=utf-8', bytes });
}

/** A page as text that names its files as they are served, and these. */
async function build(entry: HTMLBundle): Promise<{ text: string; assets: Built[] }> {
  const files = await bundled(entry);
  const html = files.find(({ name }) => name.endsWith('.html'));
  if (html === undefined) throw new Error(`${entry.index} was bundled without a page`);
  const assets = files.filter(({ name }) => !name.endsWith('.html'));
  let text = new TextDecoder().decode(html.bytes);
  for (const { name } of assets) {
    text = text.replaceAll(`"./${name}"`, `"/assets/${name}"`);
    text = text.replaceAll(`"/${name}"`, `"/assets/${name}"`);
  }
  return { text, assets };
}

/** The files of a bundle, named without a folder. */
async function bundled(entry: HTMLBundle): Promise<Built[]> {
  if (entry.files !== undefined) {
    return Promise.all(
      entry.files.map(async ({ path, headers }) => ({
        name: baseName(path),
        type: headers['content-type'],
        bytes: await Bun.file(path).bytes(),
      })),
    );
  }
  const { outputs } = await Bun.build({
    entrypoints: [entry.index],
    target: 'browser',
    minify: true,
    // Otherwise Bun takes the variants of packages that are meant for their own development.
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  return Promise.all(
    outputs.map(async (output) => ({
      name: baseName(output.path),
      type: output.type,
      bytes: new Uint8Array(await output.arrayBuffer()),
    })),
  );
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

async function compress({ type, bytes }: Built): Promise<PageFile> {
  const quality = { [constants.BROTLI_PARAM_QUALITY]: 9 };
  const [small, smaller] = await Promise.all([
    promisify(gzip)(bytes, { level: 9 }),
    promisify(brotliCompress)(bytes, { params: quality }),
  ]);
  return { type, plain: bytes, gzip: new Uint8Array(small), brotli: new Uint8Array(smaller) };
}

function answer(request: Request, file: PageFile, headers: Record<string, string>): Response {
  const accepted = request.headers.get('accept-encoding') ?? '';
  const all = { ...HEADERS, ...headers, 'content-type': file.type };
  for (const [name, body] of [
    ['br', file.brotli],
    ['gzip', file.gzip],
  ] as const) {
    if (new RegExp(`\\b${name}\\b(?!;q=0\\b)`).test(accepted)) {
      return new Response(body, { headers: { ...all, 'content-encoding': name } });
    }
  }
  return new Response(file.plain, { headers: all });
}
