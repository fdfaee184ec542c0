/** A document that the server displays as a page: `src/docs` lists them, `gateway/docs` renders them. */
export interface DocumentFile {
  /** Path in the repository, which links between documents are relative to. */
  readonly file: string;
  /** Path of its page, such as `/docs/guide/concepts`; the second part is its section. */
  readonly path: string;
  /** Markdown that opens with its title: `# Concepts`. */
  readonly text: string;
}
