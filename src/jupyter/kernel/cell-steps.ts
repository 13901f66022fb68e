/**
 * Steps of translation that cells and the local files they import need beside TypeScript's own. They run before these.
 */
import ts from "typescript";
import { IMPORT_META, INTERRUPT_CHECK, LAST_EXPRESSION } from "./cell-names";

type Step = ts.TransformerFactory<ts.SourceFile>;

/**
 * Begins the body of every loop with a call that throws when the user has interrupted: the one way to end a loop that
 * runs after an await. Optimised code inlines the call; it costs about a nanosecond a turn. `import.meta`, which
 * CommonJS lacks, becomes a variable.
 */
export const runtimeStep: Step = (context) => {
  const { factory } = context;
  const check = (): ts.Statement =>
    factory.createExpressionStatement(
      factory.createCallExpression(factory.createIdentifier(INTERRUPT_CHECK), undefined, []),
    );
  const visit = (node: ts.Node): ts.Node => {
    if (ts.isMetaProperty(node) && node.keywordToken === ts.SyntaxKind.ImportKeyword)
      return ts.setTextRange(factory.createIdentifier(IMPORT_META), node);
    const visited = ts.visitEachChild(node, visit, context);
    if (!ts.isIterationStatement(visited, false)) return visited;
    const { statement } = visited;
    const body = ts.isBlock(statement)
      ? factory.updateBlock(statement, [check(), ...statement.statements])
      : factory.createBlock([check(), statement], true);
    if (ts.isForStatement(visited))
      return factory.updateForStatement(visited, visited.initializer, visited.condition, visited.incrementor, body);
    if (ts.isForOfStatement(visited))
      return factory.updateForOfStatement(
        visited,
        visited.awaitModifier,
        visited.initializer,
        visited.expression,
        body,
      );
    if (ts.isForInStatement(visited))
      return factory.updateForInStatement(visited, visited.initializer, visited.expression, body);
    if (ts.isWhileStatement(visited)) return factory.updateWhileStatement(visited, visited.expression, body);
    if (ts.isDoStatement(visited)) return factory.updateDoStatement(visited, body, visited.expression);
    return visited;
  };
  return (file) => ts.visitNode(file, visit) as ts.SourceFile;
};

/** Turns `p`, a variable of an earlier cell, into `exports.p`. */
export function variablesStep(checker: ts.TypeChecker, earlier: ts.SymbolTable | undefined): Step {
  return (context) => {
    const { factory } = context;
    const isEarlier = (name: string, symbol: ts.Symbol | undefined): boolean =>
      symbol !== undefined && earlier?.get(ts.escapeLeadingUnderscores(name)) === symbol;
    const variable = (name: ts.Identifier): ts.Expression =>
      ts.setTextRange(factory.createPropertyAccessExpression(factory.createIdentifier("exports"), name.text), name);
    const visit = (node: ts.Node): ts.Node => {
      if (ts.isShorthandPropertyAssignment(node)) {
        if (!isEarlier(node.name.text, checker.getShorthandAssignmentValueSymbol(node)))
          return ts.visitEachChild(node, visit, context);
        const initial = node.objectAssignmentInitializer;
        const value =
          initial === undefined
            ? variable(node.name)
            : factory.createAssignment(variable(node.name), ts.visitNode(initial, visit) as ts.Expression);
        return ts.setTextRange(factory.createPropertyAssignment(factory.createIdentifier(node.name.text), value), node);
      }
      if (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) return node;
      if (ts.isExportDeclaration(node) || ts.isImportDeclaration(node)) return node;
      if (!ts.isIdentifier(node)) return ts.visitEachChild(node, visit, context);
      if (node.parent === undefined || !isEarlier(node.text, checker.getSymbolAtLocation(node))) return node;
      // Called as a member, a function would find the object of all variables in its `this`.
      const { parent } = node;
      const called =
        (ts.isCallExpression(parent) && parent.expression === node) ||
        (ts.isTaggedTemplateExpression(parent) && parent.tag === node);
      if (!called) return variable(node);
      const callee = factory.createParenthesizedExpression(
        factory.createComma(factory.createNumericLiteral(0), variable(node)),
      );
      // Stacks give the place of the bracket behind such a callee; it is to be that of the name.
      return ts.setSourceMapRange(callee, { pos: node.getStart(), end: node.getStart() });
    };
    return (file) => ts.visitEachChild(file, visit, context);
  };
}

/** Keeps the value of the last expression. */
export function lastExpressionStep(found: () => void): Step {
  return ({ factory }) =>
    (file) => {
      const at = file.statements.findLastIndex(
        (statement) => !ts.isExportDeclaration(statement) && !ts.isEmptyStatement(statement),
      );
      const last = file.statements[at];
      if (last === undefined || !ts.isExpressionStatement(last)) return file;
      found();
      const kept = factory.createAssignment(
        factory.createPropertyAccessExpression(factory.createIdentifier("exports"), LAST_EXPRESSION),
        last.expression,
      );
      const statement = ts.setTextRange(factory.createExpressionStatement(kept), last);
      return factory.updateSourceFile(file, [
        ...file.statements.slice(0, at),
        statement,
        ...file.statements.slice(at + 1),
      ]);
    };
}
