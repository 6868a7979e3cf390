COUNTED_CLASSES=("Frame_Shift_Del","Frame_Shift_Ins","In_Frame_Del","In_Frame_Ins","Missense_Mutation","Nonsense_Mutation","Splice_Site","Nonstop_Mutation","Splice_Region")
