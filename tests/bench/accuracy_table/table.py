"""The table in Markdown, and which bars a result misses."""

HEAD = ("case", "calibration", "matrices, bits", "model, bits", "eval", "code", "chat", "mean KL", "same top 1", "time, s", "CPU, s",
        "peak, MB")


def misses(case, result):
    """Lines that say which limits of the case the result is above."""
    measured, made, out = result["measured"], result["made"], []
    limits = (("matrices' bits", made.get("matrix_bits"), case.bars.bits), ("eval", measured["eval"], case.bars.eval),
              ("code", measured["code"], case.bars.code), ("mean KL", measured["mean_kl"], case.bars.kl))
    for what, value, limit in limits:
        # As printed: a bar of 2.60 bits is not missed by the fifth digit.
        if limit is not None and round(value, 4) > limit:
            out.append(f"{case.name}: {what} is {value:.4f}, at most {limit} is allowed")
    if case.tolerance is not None and abs(measured["eval"] / case.reference - 1) > case.tolerance:
        out.append(f"{case.name}: eval is {measured['eval']:.3f}; the reference scripts have {case.reference}, "
                   f"{case.tolerance:.0%} is allowed")
    reported = made.get("reported")
    if reported and abs(reported["eval"] / measured["eval"] - 1) > 0.005:
        out.append(f"{case.name}: the report has a perplexity of {reported['eval']:.3f}, the export {measured['eval']:.3f}")
    return out


def _calibration(case, made):
    if not case.calibration:
        return ""
    return f"{case.calibration.removesuffix('.txt')}, {made.get('samples', case.samples)}"


def _number(value, form):
    return "" if value is None else format(value, form)


def row(case, result):
    made, measured = result["made"], result["measured"]
    peak = made.get("peak_bytes")
    cells = (case.label, _calibration(case, made), _number(made.get("matrix_bits"), ".4f"), _number(made.get("model_bits"), ".4f"),
             f"{measured['eval']:.3f}", f"{measured['code']:.3f}", f"{measured['chat']:.3f}", f"{measured['mean_kl']:.4f}",
             f"{measured['same_top1']:.4f}", _number(made.get("seconds"), ".0f"), _number(made.get("cpu_seconds"), ".0f"),
             _number(peak and peak / 1e6, ".0f"))
    return "| " + " | ".join(cells) + " |" + (" stale" if result.get("stale") else "")


def header():
    return "| " + " | ".join(HEAD) + " |\n|---|---|" + "---:|" * (len(HEAD) - 2)
