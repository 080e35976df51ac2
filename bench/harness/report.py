def brief(run): return {k:(round(v,4) if isinstance(v,float) else v) for k,v in run.items()}
def text(r): return ""
