//! Reads what `tokio::select!` takes, as far as its branches can be mutated.

use syn::parse::{Parse, ParseStream};
use syn::{Expr, Pat, Token};

/// The branches of `tokio::select!`.
pub struct Branches(pub Vec<Branch>);

pub struct Branch {
    pub future: Expr,
    pub guard: Option<Expr>,
    pub arrow: Token![=>],
    pub body: Expr,
}

impl Parse for Branches {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut branches = Vec::new();
        if input.peek(syn::Ident) && input.peek2(Token![;]) {
            input.parse::<syn::Ident>()?;
            input.parse::<Token![;]>()?;
        }
        while !input.is_empty() {
            Pat::parse_multi(input)?;
            input.parse::<Token![=]>()?;
            let future = input.parse()?;
            let guard = match input.peek(Token![,]) {
                true => {
                    input.parse::<Token![,]>()?;
                    input.parse::<Token![if]>()?;
                    Some(input.parse()?)
                }
                false => None,
            };
            let arrow = input.parse()?;
            let body = match input.peek(syn::token::Brace) {
                true => Expr::Block(input.parse()?),
                false => input.parse()?,
            };
            branches.push(Branch { future, guard, arrow, body });
            if input.peek(Token![,]) {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(Branches(branches))
    }
}
