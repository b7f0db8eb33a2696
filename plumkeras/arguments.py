"""Constructors that refuse what they do not know."""

import functools
import inspect

from plumkeras.nearest import nearest


def known_arguments_only(*options):
    """Class decorator: a keyword that the constructor does not know is a `ValueError` that names the nearest one.

    Args:
        *options: classes whose constructors get what is in `**kwargs`. By default the base classes.
    """

    def decorate(cls):
        init = cls.__init__
        known = _known(cls, options)

        @functools.wraps(init)
        def checked(self, *args, **kwargs):
            for name, value in kwargs.items():
                if name not in known:
                    hint = nearest(name, known) or f"; it takes {', '.join(known)}."
                    raise ValueError(f"{cls.__name__} has no argument {name!r}{hint} Received: {name}={value!r}")
            init(self, *args, **kwargs)

        # Keras reads the signature of a constructor, and would see the wrapper's.
        checked.__signature__ = inspect.signature(init)
        cls.__init__ = checked
        return cls

    return decorate


def _known(cls, options):
    """Names of the keywords, the constructor's own first."""
    names = []
    for owner in [cls, *(options or cls.__mro__[1:])]:
        parameters = list(inspect.signature(owner.__init__).parameters.values())[1:]
        names += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return list(dict.fromkeys(names))
