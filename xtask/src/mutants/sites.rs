//! Finds the mutants of a source file: each place that could be otherwise, as an edit of its text.
//!
//! An edit keeps the text of its place and adds a switch, a call of `::switch::on`. While the switch is off, the code
//! does what it did. What macros take is left alone, but for the branches of `select!` and `matches!` as a whole. So are
//! constants, patterns, types and tests.

use std::collections::HashMap;
use std::ops::Range;

use syn::parse::{Parse, Parser};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Block, Expr, Lit, Pat, ReturnType, Stmt, Type, UnOp};

use super::render::{Part, Site};
use super::select::Branches;

/// Returns the mutants of a file: outer ones before those within.
pub fn of(source: &str) -> syn::Result<Vec<Site>> {
    let file = syn::parse_file(source)?;
    let mut finder =
        Finder { source, scope: Vec::new(), function: 0..source.len(), names: HashMap::new(), sites: Vec::new() };
    if !excluded(&file.attrs) {
        finder.visit_file(&file);
    }
    let mut sites = finder.sites;
    sites.sort_by_key(|site| (site.range.start, std::cmp::Reverse(site.range.end)));
    Ok(sites)
}

struct Finder<'a> {
    source: &'a str,
    /// The names of the modules, types and functions around.
    scope: Vec<String>,
    function: Range<usize>,
    names: HashMap<String, usize>,
    sites: Vec<Site>,
}

use Part::{On, Text};

impl Finder<'_> {
    fn text(&self, node: &impl Spanned) -> String {
        one_line(&self.source[node.span().byte_range()])
    }

    fn add(&mut self, range: Range<usize>, what: String, parts: Vec<Part>) {
        let mut name = format!("{}: {what}", self.scope.join("::"));
        let count = self.names.entry(name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            name += &format!(" ({count})");
        }
        self.sites.push(Site { name, range, function: self.function.clone(), parts });
    }

    /// Another operator or method in the place of one.
    fn replace(&mut self, whole: &Expr, with: String, other: Vec<Part>) {
        let range = whole.span().byte_range();
        let what = format!("`{}` with {with}", self.text(whole));
        let mut parts = vec![Text("(if "), On, Text(" { ")];
        parts.extend(other);
        parts.extend([Text(" } else { "), Part::Source(range.clone()), Text(" })")]);
        self.add(range, what, parts);
    }

    fn within(&mut self, name: String, function: Option<Range<usize>>, look: impl FnOnce(&mut Self)) {
        let before = self.function.clone();
        self.scope.push(name);
        self.function = function.unwrap_or_else(|| before.clone());
        look(self);
        self.scope.pop();
        self.function = before;
    }

    /// A function returns at once what says nothing.
    fn body(&mut self, output: &ReturnType, block: &Block) {
        if block.stmts.is_empty() {
            return;
        }
        let values: &[&str] = match output {
            ReturnType::Default => &[""],
            ReturnType::Type(_, output) => returns(output),
        };
        let brace = block.brace_token.span.open().byte_range();
        for value in values {
            let what = format!("return {}", if value.is_empty() { "at once" } else { value });
            let text = format!(" {{ return {value}; }}");
            let parts = vec![Part::Source(brace.clone()), Text(" if "), On, Part::Owned(text)];
            self.add(brace.clone(), what, parts);
        }
        // A function of one statement does the same without it.
        match (&block.stmts[..], output) {
            ([Stmt::Expr(expr, Some(_))], ReturnType::Default) => self.visit_expr(expr),
            _ => self.visit_block(block),
        }
    }

    /// The condition of an `if` or a `while`.
    fn condition(&mut self, cond: &Expr, repeated: bool) {
        let range = cond.span().byte_range();
        let text = self.text(cond);
        match () {
            () if has_let(cond) => {
                self.add(range.clone(), format!("never `{text}`"), vec![Part::Source(range), Text(" && !"), On]);
            }
            () if repeated => {
                let parts = vec![Text("("), Part::Source(range.clone()), Text(") && !"), On];
                self.add(range, format!("never repeat while `{text}`"), parts);
            }
            () if is_negated_anyway(cond) => {}
            () => {
                let parts = vec![Text("("), Part::Source(range.clone()), Text(") != "), On];
                self.add(range, format!("if not `{text}`"), parts);
            }
        }
    }

    fn binary(&mut self, whole: &Expr, binary: &syn::ExprBinary) {
        let range = whole.span().byte_range();
        let (left, right) = (binary.left.span().byte_range(), binary.right.span().byte_range());
        let (l, r) = (Part::Source(left), Part::Source(right));
        let other = match binary.op {
            BinOp::And(_) if has_let(whole) => return,
            BinOp::And(_) => {
                let what = format!("`{}` with ||", self.text(whole));
                let parts =
                    vec![Text("(if ("), l, Text(") != "), On, Text(" { ("), r, Text(") } else { "), On, Text(" })")];
                return self.add(range, what, parts);
            }
            BinOp::Or(_) => {
                let what = format!("`{}` with &&", self.text(whole));
                let parts =
                    vec![Text("(if ("), l, Text(") != "), On, Text(" { !"), On, Text(" } else { ("), r, Text(") })")];
                return self.add(range, what, parts);
            }
            BinOp::Eq(_) | BinOp::Ne(_) => {
                let what = format!("not `{}`", self.text(whole));
                let parts = vec![Text("(("), Part::Source(range.clone()), Text(") != "), On, Text(")")];
                return self.add(range, what, parts);
            }
            BinOp::Lt(_) => "<=",
            BinOp::Le(_) => "<",
            BinOp::Gt(_) => ">=",
            BinOp::Ge(_) => ">",
            BinOp::Add(_) => "-",
            BinOp::Sub(_) => "+",
            BinOp::Mul(_) => "/",
            BinOp::Div(_) => "*",
            BinOp::AddAssign(_) => "-=",
            BinOp::SubAssign(_) => "+=",
            BinOp::BitOrAssign(_) => "&=",
            _ => return,
        };
        if matches!(binary.op, BinOp::Lt(_) | BinOp::Le(_) | BinOp::Gt(_) | BinOp::Ge(_)) {
            let what = format!("not `{}`", self.text(whole));
            let parts = vec![Text("(("), Part::Source(range.clone()), Text(") != "), On, Text(")")];
            self.add(range, what, parts);
        }
        let parts = match other.ends_with('=') && other.len() == 2 && other.starts_with(['+', '-', '&']) {
            true => vec![l, Part::Text(other), r],
            false => vec![Text("("), l, Text(") "), Part::Text(other), Text(" ("), r, Text(")")],
        };
        self.replace(whole, other.into(), parts);
    }

    fn select(&mut self, mac: &syn::Macro) {
        let Ok(branches) = Branches::parse.parse2(mac.tokens.clone()) else { return };
        for branch in branches.0 {
            self.visit_expr(&branch.future);
            let arrow = branch.arrow.span().byte_range();
            let what = format!("never `{}` in select", self.text(&branch.future));
            match &branch.guard {
                Some(guard) => {
                    self.visit_expr(guard);
                    let range = guard.span().byte_range();
                    self.add(range.clone(), what, vec![Text("("), Part::Source(range), Text(") && !"), On]);
                }
                None => self.add(arrow, what, vec![Text(", if !"), On, Text(" =>")]),
            }
            self.visit_expr(&branch.body);
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        use syn::Item;
        match item {
            Item::Fn(item) if !excluded(&item.attrs) && item.sig.constness.is_none() => {
                self.within(item.sig.ident.to_string(), Some(item.span().byte_range()), |me| {
                    me.body(&item.sig.output, &item.block);
                });
            }
            Item::Impl(item) if !excluded(&item.attrs) => {
                let name = match &item.trait_ {
                    Some((_, path, _)) => format!("<{} as {}>", self.text(&item.self_ty), self.text(path)),
                    None => without_generics(&self.text(&item.self_ty)),
                };
                self.within(name, None, |me| visit::visit_item_impl(me, item));
            }
            Item::Trait(item) if !excluded(&item.attrs) => {
                self.within(item.ident.to_string(), None, |me| visit::visit_item_trait(me, item));
            }
            Item::Mod(item) if !excluded(&item.attrs) => {
                self.within(item.ident.to_string(), None, |me| visit::visit_item_mod(me, item));
            }
            _ => {}
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !excluded(&item.attrs) && item.sig.constness.is_none() {
            self.within(item.sig.ident.to_string(), Some(item.span().byte_range()), |me| {
                me.body(&item.sig.output, &item.block);
            });
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let (false, Some(block)) = (excluded(&item.attrs), &item.default) {
            self.within(item.sig.ident.to_string(), Some(item.span().byte_range()), |me| {
                me.body(&item.sig.output, block);
            });
        }
    }

    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}

    fn visit_stmt(&mut self, stmt: &'ast Stmt) {
        let effect = match stmt {
            Stmt::Expr(expr, Some(_)) => is_effect(expr),
            Stmt::Expr(Expr::ForLoop(_), None) => true,
            Stmt::Local(local) => {
                matches!((&local.pat, &local.init), (Pat::Wild(_), Some(init)) if is_effect(&init.expr))
            }
            _ => false,
        };
        match stmt {
            Stmt::Expr(expr, _) if excluded(attributes(expr)) => return,
            Stmt::Local(local) if excluded(&local.attrs) => return,
            _ => {}
        }
        if effect {
            let range = stmt.span().byte_range();
            let what = format!("without `{}`", self.text(stmt));
            self.add(range.clone(), what, vec![Text("if !"), On, Text(" { "), Part::Source(range), Text(" }")]);
        }
        visit::visit_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'ast Expr) {
        let range = expr.span().byte_range();
        match expr {
            Expr::Binary(binary) => self.binary(expr, binary),
            Expr::Unary(unary) if matches!(unary.op, UnOp::Not(_)) => {
                let what = format!("not `{}`", self.text(expr));
                self.add(range.clone(), what, vec![Text("(("), Part::Source(range), Text(") != "), On, Text(")")]);
            }
            Expr::Lit(lit) => match &lit.lit {
                Lit::Bool(lit) if lit.value => {
                    self.add(range, "`true` with false".into(), vec![Text("(!"), On, Text(")")])
                }
                Lit::Bool(_) => self.add(range, "`false` with true".into(), vec![On]),
                Lit::Int(lit) => {
                    if let Ok(value) = lit.base10_parse::<u64>() {
                        let other = if value == 1 { 0 } else { value.saturating_add(1) };
                        let with = format!("{other}{}", lit.suffix());
                        self.replace(expr, other.to_string(), vec![Part::Owned(with)]);
                    }
                }
                _ => {}
            },
            Expr::If(expr) => self.condition(&expr.cond, false),
            Expr::While(expr) => self.condition(&expr.cond, true),
            Expr::MethodCall(call) if call.args.len() == 1 && call.turbofish.is_none() => {
                let other = match call.method.to_string().as_str() {
                    "min" => "max",
                    "max" => "min",
                    "any" => "all",
                    "all" => "any",
                    "is_some_and" => "is_none_or",
                    "is_none_or" => "is_some_and",
                    _ => "",
                };
                if !other.is_empty() {
                    let receiver = Part::Source(call.receiver.span().byte_range());
                    let argument = Part::Source(call.args.span().byte_range());
                    let parts = vec![Text("("), receiver, Text(")."), Text(other), Text("("), argument, Text(")")];
                    self.replace(expr, other.into(), parts);
                }
            }
            Expr::Match(expr) => {
                let last = expr.arms.last();
                let all = last.is_some_and(|arm| arm.guard.is_none() && takes_all(&arm.pat));
                for (index, arm) in expr.arms.iter().enumerate() {
                    let pattern = self.text(&arm.pat);
                    match &arm.guard {
                        Some((_, guard)) if !has_let(guard) => {
                            let range = guard.span().byte_range();
                            let text = self.text(guard.as_ref());
                            let [always, never] = [") || ", ") && !"];
                            let parts = |how| vec![Text("("), Part::Source(range.clone()), Text(how), On];
                            self.add(range.clone(), format!("`{pattern}` always if `{text}`"), parts(always));
                            self.add(range.clone(), format!("`{pattern}` never if `{text}`"), parts(never));
                        }
                        None if all && index + 1 < expr.arms.len() => {
                            let arrow = arm.fat_arrow_token.span().byte_range();
                            self.add(
                                arrow,
                                format!("without the arm `{pattern}`"),
                                vec![Text("if !"), On, Text(" =>")],
                            );
                        }
                        _ => {}
                    }
                }
            }
            Expr::Macro(mac) if mac.mac.path.segments.last().is_some_and(|last| last.ident == "matches") => {
                let what = format!("not `{}`", self.text(expr));
                self.add(range.clone(), what, vec![Text("("), Part::Source(range), Text(" != "), On, Text(")")]);
            }
            Expr::Repeat(repeat) => return self.visit_expr(&repeat.expr),
            Expr::Const(_) => return,
            _ => {}
        }
        visit::visit_expr(self, expr);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        if mac.path.segments.last().is_some_and(|last| last.ident == "select") {
            self.select(mac);
        }
    }

    fn visit_pat(&mut self, _: &'ast Pat) {}
    fn visit_type(&mut self, _: &'ast Type) {}
    fn visit_path(&mut self, _: &'ast syn::Path) {}
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
    fn visit_angle_bracketed_generic_arguments(&mut self, _: &'ast syn::AngleBracketedGenericArguments) {}
    fn visit_generics(&mut self, _: &'ast syn::Generics) {}
}

/// What a function of this type can return without doing anything.
fn returns(output: &Type) -> &'static [&'static str] {
    let Type::Path(path) = output else {
        return match output {
            Type::Tuple(tuple) if tuple.elems.is_empty() => &[""],
            _ => &[],
        };
    };
    let Some(last) = path.path.segments.last() else { return &[] };
    let first = match &last.arguments {
        syn::PathArguments::AngleBracketed(arguments) => arguments.args.first(),
        _ => None,
    };
    let inner = match first {
        Some(syn::GenericArgument::Type(Type::Tuple(tuple))) if tuple.elems.is_empty() => "()",
        Some(syn::GenericArgument::Type(Type::Path(path))) => match path.path.segments.last() {
            Some(last) if last.ident == "bool" => "bool",
            Some(last) if last.ident == "Option" => "Option",
            _ => "",
        },
        _ => "",
    };
    match (last.ident.to_string().as_str(), inner) {
        ("bool", _) => &["true", "false"],
        ("Option", _) => &["None"],
        ("Result", "()") => &["Ok(())"],
        ("Result", "bool") => &["Ok(true)", "Ok(false)"],
        ("Result", "Option") => &["Ok(None)"],
        ("u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64", _) => &["0", "1"],
        ("Duration" | "String" | "Vec" | "PathBuf", _) => &["Default::default()"],
        _ => &[],
    }
}

/// Whether a statement of this expression does something. What assigns, calls or waits does.
fn is_effect(expr: &Expr) -> bool {
    match expr {
        Expr::Call(_) | Expr::MethodCall(_) | Expr::Assign(_) => true,
        Expr::Await(expr) => is_effect(&expr.base),
        Expr::Try(expr) => is_effect(&expr.expr),
        Expr::Binary(binary) => matches!(
            binary.op,
            BinOp::AddAssign(_) | BinOp::SubAssign(_) | BinOp::BitOrAssign(_) | BinOp::BitAndAssign(_)
        ),
        _ => false,
    }
}

/// Whether the condition of an `if` has mutants of its own that turn it around.
fn is_negated_anyway(expr: &Expr) -> bool {
    match expr {
        Expr::Unary(unary) => matches!(unary.op, UnOp::Not(_)),
        Expr::Macro(mac) => mac.mac.path.segments.last().is_some_and(|last| last.ident == "matches"),
        Expr::Paren(paren) => is_negated_anyway(&paren.expr),
        Expr::Binary(binary) => {
            matches!(binary.op, BinOp::Eq(_) | BinOp::Ne(_) | BinOp::Lt(_) | BinOp::Le(_) | BinOp::Gt(_) | BinOp::Ge(_))
        }
        _ => false,
    }
}

/// Whether the pattern of an arm takes whatever is left: `_`, or a name that is no variant.
fn takes_all(pattern: &Pat) -> bool {
    match pattern {
        Pat::Wild(_) => true,
        Pat::Ident(name) => name.subpat.is_none() && name.ident.to_string().starts_with(|c: char| c.is_lowercase()),
        _ => false,
    }
}

/// Whether a condition binds names.
fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

/// Whether what has these attributes is a test, or is not compiled on Linux with the default features.
fn excluded(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Ok(list) = attribute.meta.require_list() else { return false };
        let condition = list.tokens.to_string().replace(' ', "");
        let never = [
            "test",
            "doctest",
            "not(target_os=\"linux\")",
            "not(unix)",
            "target_vendor=\"apple\"",
            "rendezvous_sim",
            "any(test,rendezvous_sim)",
        ];
        attribute.path().is_ident("cfg")
            && (never.contains(&condition.as_str())
                || condition.starts_with("not(feature")
                || ["all(test,", "all(doctest,"].iter().any(|test| condition.starts_with(test)))
    })
}

fn attributes(expr: &Expr) -> &[syn::Attribute] {
    match expr {
        Expr::Block(expr) => &expr.attrs,
        Expr::Call(expr) => &expr.attrs,
        Expr::MethodCall(expr) => &expr.attrs,
        Expr::If(expr) => &expr.attrs,
        Expr::Match(expr) => &expr.attrs,
        _ => &[],
    }
}

/// A text on one line that is not too long.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(70) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

fn without_generics(name: &str) -> String {
    name.split('<').next().unwrap_or(name).into()
}

#[cfg(test)]
mod tests {
    use super::super::render::render;
    use super::*;

    const CODE: &str = "impl Gate {
    fn is_open(&self, now: u64) -> bool {
        if self.shut && now < self.until + 1 {
            return false;
        }
        self.log.flush();
        !self.shut
    }
}
";

    fn names(code: &str) -> Vec<String> {
        of(code).unwrap().into_iter().map(|site| site.name).collect()
    }

    #[test]
    fn each_place_has_its_mutants() {
        let mut names = names(CODE);
        names.sort();
        let mut expected = [
            "return true",
            "return false",
            "if not `self.shut && now < self.until + 1`",
            "`self.shut && now < self.until + 1` with ||",
            "`now < self.until + 1` with <=",
            "not `now < self.until + 1`",
            "`self.until + 1` with -",
            "`1` with 0",
            "`false` with true",
            "without `self.log.flush();`",
            "not `!self.shut`",
        ]
        .map(|what| format!("Gate::is_open: {what}"));
        expected.sort();
        assert_eq!(names, expected);
    }

    #[test]
    fn the_branches_of_a_select_and_the_arms_of_a_match_can_be_left_out() {
        let code = "async fn wait() { tokio::select! { biased; () = quick() => {} x = slow(), if ready => x, } }";
        assert_eq!(
            names(code),
            ["wait: return at once", "wait: never `quick()` in select", "wait: never `slow()` in select"]
        );
        let code = "fn of(x: u8) -> u16 { match x { A => a(), B if b => 7, _ => c() } }";
        assert_eq!(
            names(code),
            [
                "of: return 0",
                "of: return 1",
                "of: without the arm `A`",
                "of: `B` always if `b`",
                "of: `B` never if `b`",
                "of: `7` with 8"
            ]
        );
    }

    #[test]
    fn tests_constants_and_what_other_systems_compile_have_none() {
        let code = "const A: u8 = 1; const fn f() -> bool { true } #[cfg(test)] mod tests { fn g() -> bool { true } }
            #[cfg(not(target_os = \"linux\"))] fn h() -> bool { true }";
        assert_eq!(names(code), [""; 0]);
    }

    #[test]
    fn a_file_is_the_same_without_switches_and_parses_with_all() {
        let sites = of(CODE).unwrap();
        assert_eq!(render(CODE, &sites, &|_| None).text, CODE);
        let all = render(CODE, &sites, &Some);
        syn::parse_file(&all.text).unwrap();
        for index in 0..sites.len() {
            assert!(all.text.contains(&format!("::switch::on({index})")), "{index}");
            assert!(all.places.iter().any(|(_, place)| *place == index), "{index}");
        }
    }
}
