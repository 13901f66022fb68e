/** What can be said of a cell's text without its types. */
import ts from "typescript";

/**
 * Words of TypeScript that a module's file begins its declarations with mean nothing in a cell: all it declares is
 * there for later cells.
 */
export function withoutExports(code: string): string {
  if (!/\bexport\b/.test(code)) return code;
  let result = code;
  const blank = (from: number, to: number): void => {
    result = result.slice(0, from) + result.slice(from, to).replace(/[^\n]/g, " ") + result.slice(to);
  };
  for (const statement of parse(code).statements) {
    // The variables that a list names are exported anyway; twice is a mistake.
    if (
      ts.isExportDeclaration(statement) &&
      statement.moduleSpecifier === undefined &&
      statement.exportClause !== undefined
    )
      blank(statement.getStart(), statement.end);
    const modifiers = ts.canHaveModifiers(statement) ? (ts.getModifiers(statement) ?? []) : [];
    const word = modifiers.find((one) => one.kind === ts.SyntaxKind.ExportKeyword);
    if (word === undefined || modifiers.some((one) => one.kind === ts.SyntaxKind.DefaultKeyword)) continue;
    blank(word.getStart(), word.end);
  }
  return result;
}

/** True where only TypeScript with JSX can read it: `<T>x` and `<T>(a) => a` stay what they are. */
export function isJsx(code: string): boolean {
  return /<[A-Za-z>/]/.test(code) && mistakes(parse(code)) > 0 && mistakes(parse(code, ts.ScriptKind.TSX)) === 0;
}

/** Names that a cell declares at its top, `var` in blocks too. */
export function declaredNames(code: string, jsx: boolean): string[] {
  const names = new Set<string>();
  for (const statement of parse(code, jsx ? ts.ScriptKind.TSX : ts.ScriptKind.TS).statements)
    for (const name of namesOf(statement)) names.add(name);
  return [...names];
}

/** Names that a statement declares in the scope it stands in. */
export function namesOf(statement: ts.Statement): string[] {
  const names: string[] = [];
  const binding = (name: ts.BindingName): void => {
    if (ts.isIdentifier(name)) names.push(name.text);
    else for (const element of name.elements) if (ts.isBindingElement(element)) binding(element.name);
  };
  const hoisted = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) || ts.isClassLike(node) || ts.isModuleDeclaration(node)) return;
    if (ts.isVariableDeclarationList(node) && (node.flags & ts.NodeFlags.BlockScoped) === 0)
      for (const one of node.declarations) binding(one.name);
    ts.forEachChild(node, hoisted);
  };
  if (ts.isVariableStatement(statement)) for (const one of statement.declarationList.declarations) binding(one.name);
  else if (
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isEnumDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isImportEqualsDeclaration(statement)
  ) {
    if (statement.name !== undefined) names.push(statement.name.text);
  } else if (ts.isModuleDeclaration(statement)) {
    if (ts.isIdentifier(statement.name) && (statement.flags & ts.NodeFlags.GlobalAugmentation) === 0)
      names.push(statement.name.text);
  } else if (ts.isImportDeclaration(statement)) {
    const clause = statement.importClause;
    if (clause?.name !== undefined) names.push(clause.name.text);
    if (clause?.namedBindings !== undefined) {
      if (ts.isNamespaceImport(clause.namedBindings)) names.push(clause.namedBindings.name.text);
      else for (const one of clause.namedBindings.elements) names.push(one.name.text);
    }
  } else hoisted(statement);
  return names;
}

/** True where something awaits outside of functions. */
export function awaitsAtTop(source: ts.SourceFile): boolean {
  const awaits = (node: ts.Node): boolean => {
    if (ts.isFunctionLike(node) || ts.isClassStaticBlockDeclaration(node) || ts.isPropertyDeclaration(node))
      return false;
    if (ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier !== undefined)) return true;
    const flags: number = ts.isVariableDeclarationList(node) ? node.flags & ts.NodeFlags.BlockScoped : 0;
    if (flags === (ts.NodeFlags.AwaitUsing as number)) return true;
    return ts.forEachChild(node, awaits) ?? false;
  };
  return awaits(source);
}

function parse(code: string, kind = ts.ScriptKind.TS): ts.SourceFile {
  return ts.createSourceFile(
    kind === ts.ScriptKind.TSX ? "cell.tsx" : "cell.ts",
    code,
    ts.ScriptTarget.Latest,
    true,
    kind,
  );
}

function mistakes(source: ts.SourceFile): number {
  return (source as unknown as { parseDiagnostics?: readonly unknown[] }).parseDiagnostics?.length ?? 0;
}
