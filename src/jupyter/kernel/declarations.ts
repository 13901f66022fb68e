/**
 * Declarations of all cells so far, as the text of a .d.ts file: what a new cell adds, and what remains of the earlier
 * ones.
 */
import ts from "typescript";
import { namesOf } from "./cell-syntax";

/** As what a name is declared. */
export interface Meaning {
  readonly value: boolean;
  readonly type: boolean;
}

export type Meanings = ReadonlyMap<string, Meaning>;

export function meaningOf(symbol: ts.Symbol | undefined, checker: ts.TypeChecker): Meaning {
  if (symbol === undefined) return { value: true, type: true };
  const { flags } = (symbol.flags & ts.SymbolFlags.Alias) !== 0 ? checker.getAliasedSymbol(symbol) : symbol;
  const meaning = {
    value: (flags & ts.SymbolFlags.Value) !== 0,
    type: (flags & (ts.SymbolFlags.Type | ts.SymbolFlags.Namespace)) !== 0,
  };
  return meaning.value || meaning.type ? meaning : { value: true, type: true };
}

/**
 * What a cell adds, out of the declarations that the compiler made of it.
 * @param unwritable Names whose types no declaration can write: they are taken from `module`, which is the cell itself.
 */
export function ownDeclarations(
  emitted: string,
  unwritable: ReadonlySet<string>,
  cell: ts.SourceFile,
  module: string,
): string {
  const source = ts.createSourceFile("cell.d.ts", emitted, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS);
  // The compiler gives the base of `class X extends f()` a name of its own.
  const left = new Set([...unwritable].flatMap((name) => [name, `${name}_base`]));
  const lines: string[] = [];
  for (const statement of source.statements) {
    if (ts.isExportDeclaration(statement) || ts.isExportAssignment(statement)) continue;
    const text = rest(statement, (name) => !left.has(name));
    if (text !== undefined)
      lines.push(
        text.replace(/^(\s*(?:\/\*[^]*?\*\/\s*)*)export (?:default |declare )*(?=\w)/, (_, before: string) =>
          ts.isInterfaceDeclaration(statement) ? before : `${before}declare `,
        ),
      );
  }
  for (const name of unwritable) {
    const statement = cell.statements.find((one) => !ts.isExportDeclaration(one) && namesOf(one).includes(name));
    const variable =
      statement !== undefined &&
      !ts.isClassDeclaration(statement) &&
      !ts.isFunctionDeclaration(statement) &&
      !ts.isInterfaceDeclaration(statement) &&
      !ts.isTypeAliasDeclaration(statement) &&
      !ts.isModuleDeclaration(statement) &&
      !ts.isEnumDeclaration(statement);
    if (variable) {
      const constant =
        ts.isVariableStatement(statement) && (statement.declarationList.flags & ts.NodeFlags.Const) !== 0;
      lines.push(`declare ${constant ? "const" : "let"} ${name}: typeof import("./${module}").${name};`);
    } else lines.push(`import { ${name} } from "./${module}";`);
  }
  return lines.map((line) => `${line}\n`).join("");
}

/** What remains of the declarations of earlier cells when a new one declares some of their names anew. */
export function remainingDeclarations(
  earlier: ts.SourceFile,
  added: string,
  declared: Meanings,
  checker: ts.TypeChecker,
): string {
  const own = new Map(declared);
  const addedSource = ts.createSourceFile("cell.d.ts", added, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS);
  for (const statement of addedSource.statements)
    for (const name of namesOf(statement)) if (!own.has(name)) own.set(name, { value: true, type: false });
  const locals = (earlier as { locals?: ts.SymbolTable }).locals;
  const lines: string[] = [];
  const untyped = new Set<string>();
  for (const statement of earlier.statements) {
    if (ts.isExportDeclaration(statement)) continue;
    const names = namesOf(statement);
    if (names.length === 0) {
      // Of the global scope or of another module; run again, the cell has it once more.
      if (!added.includes(statement.getText(earlier))) lines.push(statement.getText(earlier));
      continue;
    }
    const kept = rest(statement, (name) => {
      const now = own.get(name);
      if (now === undefined) return true;
      const before =
        ts.isVariableStatement(statement) || ts.isFunctionDeclaration(statement)
          ? { value: true, type: false }
          : ts.isTypeAliasDeclaration(statement) || ts.isInterfaceDeclaration(statement)
            ? { value: false, type: true }
            : meaningOf(locals?.get(ts.escapeLeadingUnderscores(name)), checker);
      if (!(before.value && now.value) && !(before.type && now.type)) return true;
      // A class whose type has a new meaning is still there as a value.
      if (before.value && !now.value) untyped.add(name);
      return false;
    });
    if (kept !== undefined) lines.push(kept);
  }
  for (const name of untyped) lines.push(`declare let ${name}: any;`);
  return lines.map((line) => `${line}\n`).join("");
}

/**
 * Those of the earlier declarations that a cell refers to, directly or through others. Only these are kept with it: a
 * cell that is run again and again would otherwise keep all its former selves.
 */
export function neededDeclarations(earlier: ts.SourceFile, cell: ts.SourceFile, own: ReadonlySet<string>): string {
  const byName = new Map<string, ts.Statement[]>();
  const needed = new Set<ts.Statement>();
  for (const statement of earlier.statements) {
    const names = namesOf(statement);
    for (const name of names) byName.set(name, [...(byName.get(name) ?? []), statement]);
    if (names.length === 0 && !ts.isExportDeclaration(statement)) needed.add(statement);
  }
  const names = [...referredNames(cell)].filter((name) => !own.has(name));
  for (let name = names.pop(); name !== undefined; name = names.pop()) {
    for (const statement of byName.get(name) ?? []) {
      if (needed.has(statement)) continue;
      needed.add(statement);
      names.push(...referredNames(statement));
    }
  }
  return earlier.statements
    .filter((statement) => needed.has(statement))
    .map((statement) => `${statement.getText(earlier)}\n`)
    .join("");
}

/** Names that may refer to something outside; those of members never do. */
function referredNames(root: ts.Node): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) names.add(node.text);
    else if (ts.isPropertyAccessExpression(node)) visit(node.expression);
    else if (ts.isQualifiedName(node)) visit(node.left);
    else if (ts.isImportTypeNode(node)) node.typeArguments?.forEach(visit);
    else
      ts.forEachChild(node, (child) => {
        if (!(ts.isIdentifier(child) && (node as { name?: ts.Node }).name === child && isMember(node))) visit(child);
      });
  };
  visit(root);
  return names;
}

function isMember(node: ts.Node): boolean {
  return (
    ts.isPropertySignature(node) ||
    ts.isMethodSignature(node) ||
    ts.isPropertyAssignment(node) ||
    ts.isPropertyDeclaration(node) ||
    ts.isMethodDeclaration(node) ||
    ts.isParameter(node) ||
    ts.isEnumMember(node) ||
    ts.isAccessor(node)
  );
}

/** The statement without the names that are not wanted; undefined when nothing is left. */
function rest(statement: ts.Statement, wanted: (name: string) => boolean): string | undefined {
  const source = statement.getSourceFile();
  const names = namesOf(statement);
  const kept = names.filter(wanted);
  if (kept.length === names.length) return statement.getFullText(source).trim();
  if (kept.length === 0) return undefined;
  const keeps = (name: ts.Node): boolean => ts.isIdentifier(name) && kept.includes(name.text);
  if (ts.isVariableStatement(statement)) {
    const { declarationList: list } = statement;
    const word =
      (list.flags & ts.NodeFlags.Const) !== 0 ? "const" : (list.flags & ts.NodeFlags.Let) !== 0 ? "let" : "var";
    return `declare ${word} ${list.declarations
      .filter((one) => keeps(one.name))
      .map((one) => one.getText(source))
      .join(", ")};`;
  }
  if (ts.isImportDeclaration(statement) && statement.importClause !== undefined) {
    const { name, namedBindings, isTypeOnly } = statement.importClause;
    const parts: string[] = [];
    if (name !== undefined && keeps(name)) parts.push(name.text);
    if (namedBindings !== undefined) {
      if (ts.isNamespaceImport(namedBindings)) {
        if (keeps(namedBindings.name)) parts.push(namedBindings.getText(source));
      } else {
        const elements = namedBindings.elements.filter((one) => keeps(one.name)).map((one) => one.getText(source));
        if (elements.length > 0) parts.push(`{ ${elements.join(", ")} }`);
      }
    }
    return `import ${isTypeOnly ? "type " : ""}${parts.join(", ")} from ${statement.moduleSpecifier.getText(source)};`;
  }
  return statement.getFullText(source).trim();
}
